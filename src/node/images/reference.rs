//! Names of images, as Docker and containerd normalise them.
//!
//! Owns [`ImageRef`]: parse once, compare afterwards. Does not know which images exist.
//!
//! Invariant: what `Display` prints parses to the same reference.

use std::fmt;

use super::ImageError;

/// The domain of names that give none.
const DEFAULT_DOMAIN: &str = "docker.io";
/// The old spelling of the default domain.
const OLD_DOMAIN: &str = "index.docker.io";
/// The namespace of single names in the default domain.
const OFFICIAL: &str = "library";
/// The longest repository name, domain and slash included.
const NAME_BYTES: usize = 255;

/// A whole image name: `domain/path[:tag][@digest]`, with at least one of tag and digest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageRef {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<String>,
}

impl ImageRef {
    /// Reads a name as people write it: `nginx`, `registry:5000/team/app:v1`, `nginx@sha256:…`.
    ///
    /// # Errors
    /// [`ImageError::InvalidName`] with upstream's words.
    pub fn parse(name: &str) -> Result<ImageRef, ImageError> {
        parse(name).map_err(|cause| ImageError::InvalidName { name: name.to_owned(), cause })
    }

    /// The registry's domain, with its port.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The repository inside the registry.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// `domain/path`.
    pub fn repository(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }

    /// The tag; `latest` where the name gave neither tag nor digest.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, `sha256:…`.
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.domain, self.path)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

fn parse(name: &str) -> Result<ImageRef, String> {
    let invalid = || "invalid reference format".to_owned();
    if name.len() == 64 && name.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
        return Err(format!("invalid repository name ({name}), cannot specify 64-byte hexadecimal strings"));
    }
    let (domain, remainder) = split_domain(name);
    let (rest, digest) = match remainder.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (remainder.as_str(), None),
    };
    let (path, tag) = match rest.split_once(':') {
        Some((path, tag)) => (path, Some(tag)),
        None => (rest, None),
    };
    if path.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err(format!("invalid reference format: repository name ({path}) must be lowercase"));
    }
    if !is_domain(&domain) || !path.split('/').all(is_path_component) {
        return Err(invalid());
    }
    if tag.is_some_and(|t| !is_tag(t)) {
        return Err(invalid());
    }
    if let Some(digest) = digest {
        check_digest(digest)?;
    }
    if domain.len() + 1 + path.len() > NAME_BYTES {
        return Err(format!("repository name must not be more than {NAME_BYTES} characters"));
    }
    let tag = match (tag, digest) {
        (None, None) => Some("latest"),
        (tag, _) => tag,
    };
    Ok(ImageRef {
        domain,
        path: path.to_owned(),
        tag: tag.map(str::to_owned),
        digest: digest.map(str::to_owned),
    })
}

/// The first part is a domain if it looks like one; `localhost`, a dot, a port or a capital letter tell.
fn split_domain(name: &str) -> (String, String) {
    let (domain, remainder) = match name.split_once('/') {
        Some((first, rest))
            if first == "localhost"
                || first.contains(['.', ':'])
                || first.bytes().any(|b| b.is_ascii_uppercase()) =>
        {
            (first, rest)
        }
        _ => (DEFAULT_DOMAIN, name),
    };
    let domain = if domain == OLD_DOMAIN { DEFAULT_DOMAIN } else { domain };
    if domain == DEFAULT_DOMAIN && !remainder.contains('/') {
        return (domain.to_owned(), format!("{OFFICIAL}/{remainder}"));
    }
    (domain.to_owned(), remainder.to_owned())
}

/// A host name, an IPv4 address or an IPv6 address in brackets, with an optional port.
fn is_domain(domain: &str) -> bool {
    let (host, port) = match domain.strip_prefix('[').and_then(|d| d.split_once(']')) {
        Some((address, rest)) => {
            if address.is_empty() || !address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':') {
                return false;
            }
            match rest.strip_prefix(':') {
                Some(port) => (None, Some(port)),
                None if rest.is_empty() => (None, None),
                None => return false,
            }
        }
        None => match domain.split_once(':') {
            Some((host, port)) => (Some(host), Some(port)),
            None => (Some(domain), None),
        },
    };
    let alphanumeric = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
    let host_is_good = host.is_none_or(|host| {
        host.split('.').all(|label| {
            alphanumeric(label.bytes().next())
                && alphanumeric(label.bytes().last())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        })
    });
    host_is_good && port.is_none_or(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()))
}

/// Lower case letters and digits, joined by `.`, `_`, `__` or any number of `-`.
fn is_path_component(component: &str) -> bool {
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = component.as_bytes();
    let ends_are_words = bytes.first().is_some_and(|b| word(*b)) && bytes.last().is_some_and(|b| word(*b));
    ends_are_words
        && bytes
            .split(|b| word(*b))
            .all(|gap| matches!(gap, b"" | b"." | b"_" | b"__") || gap.iter().all(|b| *b == b'-'))
}

fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    tag.len() <= 128
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

fn check_digest(digest: &str) -> Result<(), String> {
    let invalid = || "invalid reference format".to_owned();
    let (algorithm, hex) = digest.split_once(':').ok_or_else(invalid)?;
    if hex.len() < 32 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) || algorithm.is_empty() {
        return Err(invalid());
    }
    let length = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return Err("unsupported digest algorithm".to_owned()),
    };
    if hex.len() != length {
        return Err("invalid checksum digest length".to_owned());
    }
    if hex.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err("invalid checksum digest format".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(table: &str) {
        for line in table.lines().map(str::trim).filter(|l| !l.is_empty()) {
            let (name, expected) = line.split_once(" => ").unwrap();
            let hex = "0123456789abcdef".repeat(4);
            let (name, expected) = (name.replace("HEX", &hex), expected.replace("HEX", &hex));
            let found = match ImageRef::parse(name.trim()) {
                Ok(reference) => {
                    let text = reference.to_string();
                    assert_eq!(ImageRef::parse(&text).unwrap(), reference, "{text}");
                    text
                }
                Err(ImageError::InvalidName { cause, .. }) => format!("! {cause}"),
                Err(other) => panic!("{other}"),
            };
            assert_eq!(found, expected.trim(), "of {name}");
        }
    }

    #[test]
    fn names_are_normalised() {
        check(
            "
            nginx                         => docker.io/library/nginx:latest
            nginx:1.25                    => docker.io/library/nginx:1.25
            team/app                      => docker.io/team/app:latest
            docker.io/nginx               => docker.io/library/nginx:latest
            index.docker.io/nginx         => docker.io/library/nginx:latest
            localhost/app                 => localhost/app:latest
            localhost:5000/app:v1         => localhost:5000/app:v1
            registry.k8s.io/pause:3.10    => registry.k8s.io/pause:3.10
            [fd00::1]:5000/a              => [fd00::1]:5000/a:latest
            Host/app                      => Host/app:latest
            nginx@sha256:HEX              => docker.io/library/nginx@sha256:HEX
            nginx:1@sha256:HEX            => docker.io/library/nginx:1@sha256:HEX
            a__b/c-d--e.f                 => docker.io/a__b/c-d--e.f:latest
            coracle.local/self            => coracle.local/self:latest
            ",
        );
    }

    #[test]
    fn what_is_no_name_is_refused_in_upstreams_words() {
        check(
            "
            Nginx                  => ! invalid reference format: repository name (library/Nginx) must be lowercase
            HEX                    => ! invalid repository name (HEX), cannot specify 64-byte hexadecimal strings
            nginx:                 => ! invalid reference format
            nginx::1               => ! invalid reference format
            -nginx                 => ! invalid reference format
            a//b                   => ! invalid reference format
            a..b                   => ! invalid reference format
            a/b c                  => ! invalid reference format
            ../etc                 => ! invalid reference format
            reg.io:x/a             => ! invalid reference format
            nginx@sha256:abc       => ! invalid reference format
            nginx@md5:HEX          => ! unsupported digest algorithm
            ",
        );
        assert!(ImageRef::parse("").is_err());
        assert!(ImageRef::parse(&"a".repeat(300)).unwrap_err().to_string().contains("255 characters"));
    }
}
