//! Finds who a container's first process is, in the container's own `/etc/passwd` and `/etc/group`.
//!
//! Pure but for [`find`], which reads the two files of the root that the caller is in.
//!
//! Invariant: a user or group that is not there is refused, never taken for root.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::super::super::{Security, User};
use super::super::wire::{Failure, Step};

/// The most that is read of either file; larger ones are cut.
const FILE_BYTES: u64 = 4 << 20;

/// Ids, groups and home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Identity {
    /// User id.
    pub(in super::super) uid: u32,
    /// Group id.
    pub(in super::super) gid: u32,
    /// Further groups.
    pub(in super::super) groups: Vec<u32>,
    /// Home folder.
    pub(in super::super) home: String,
}

fn read(path: &str) -> String {
    let mut bytes = Vec::new();
    // Only a regular file is read: opening anything else of an image could block or never end.
    if Path::new(path).is_file()
        && let Ok(file) = File::open(path)
    {
        let _ = file.take(FILE_BYTES).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Finds the identity in the root that we are in.
pub(super) fn find(security: &Security) -> Result<Identity, Failure> {
    let identity = look_up(security, &read("/etc/passwd"), &read("/etc/group"))?;
    if security.must_be_non_root && identity.uid == 0 {
        let cause = "container has runAsNonRoot and image will run as root";
        return Err(Failure::refused(Step::User, cause));
    }
    Ok(identity)
}

struct Entry<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

fn users(passwd: &str) -> impl Iterator<Item = Entry<'_>> {
    passwd.lines().filter_map(|line| {
        let parts: Vec<&str> = line.split(':').collect();
        let (uid, gid) = (parts.get(2)?.parse().ok()?, parts.get(3)?.parse().ok()?);
        Some(Entry { name: parts[0], uid, gid, home: parts.get(5).copied().unwrap_or("") })
    })
}

fn groups(file: &str) -> impl Iterator<Item = (&str, u32, &str)> {
    file.lines().filter_map(|line| {
        let parts: Vec<&str> = line.split(':').collect();
        Some((parts[0], parts.get(2)?.parse().ok()?, parts.get(3).copied().unwrap_or("")))
    })
}

/// Looks a user up in the texts of the two files.
pub(in super::super) fn look_up(security: &Security, passwd: &str, group: &str) -> Result<Identity, Failure> {
    let (entry, uid, gid) = match &security.user {
        User::Ids { uid, gid } => (users(passwd).find(|entry| entry.uid == *uid), *uid, *gid),
        User::Image(text) => {
            let (user, of) = text.split_once(':').map_or((text.as_str(), None), |(u, g)| (u, Some(g)));
            let user = if user.is_empty() { "0" } else { user };
            let named = users(passwd).find(|entry| entry.name == user);
            let number = user.parse::<u32>().ok();
            let entry = named.or_else(|| users(passwd).find(|entry| Some(entry.uid) == number));
            let Some(uid) = entry.as_ref().map(|entry| entry.uid).or(number) else {
                let cause = format!("unable to find user {user}: no matching entries in passwd file");
                return Err(Failure::refused(Step::User, cause));
            };
            (entry, uid, of.filter(|of| !of.is_empty()).map(|of| group_id(of, group)).transpose()?)
        }
    };
    let gid = gid.or(entry.as_ref().map(|entry| entry.gid)).unwrap_or(0);
    let mut all = security.supplemental_groups.clone();
    if let Some(entry) = &entry {
        let member = |members: &str| members.split(',').any(|name| name == entry.name);
        all.extend(groups(group).filter(|(_, _, members)| member(members)).map(|(_, id, _)| id));
    }
    let mut seen = std::collections::BTreeSet::new();
    all.retain(|id| seen.insert(*id));
    let home = entry.map(|entry| entry.home).filter(|home| !home.is_empty());
    let home = home.unwrap_or(if uid == 0 { "/root" } else { "/" }).to_owned();
    Ok(Identity { uid, gid, groups: all, home })
}

fn group_id(text: &str, file: &str) -> Result<u32, Failure> {
    let named = groups(file).find(|(name, _, _)| *name == text).map(|(_, id, _)| id);
    named.or_else(|| text.parse().ok()).ok_or_else(|| {
        Failure::refused(
            Step::User,
            format!("unable to find group {text}: no matching entries in group file"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nweb:x:33:33:web:/srv:/bin/sh\n1234:x:7:7::/odd:\n";
    const GROUP: &str = "root:x:0:\nwww:x:33:\nlog:x:4:web,root\nadm:x:5:web\n";

    fn check(user: User, supplemental: &[u32], expected: &str) {
        let security = Security { user, supplemental_groups: supplemental.to_vec(), ..Security::default() };
        let found = match look_up(&security, PASSWD, GROUP) {
            Ok(who) => format!("{}:{} {:?} {}", who.uid, who.gid, who.groups, who.home),
            Err(failure) => failure.cause,
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn finds_users_and_groups() {
        let image = |text: &str| User::Image(text.to_owned());
        check(image(""), &[], "0:0 [4] /root");
        check(image("web"), &[9, 4], "33:33 [9, 4, 5] /srv");
        check(image("web:log"), &[], "33:4 [4, 5] /srv");
        check(image("33"), &[], "33:33 [4, 5] /srv");
        check(image("1234"), &[], "7:7 [] /odd");
        check(image("99"), &[], "99:0 [] /");
        check(image("99:8"), &[2], "99:8 [2] /");
        check(image("nobody"), &[], "unable to find user nobody: no matching entries in passwd file");
        check(image("web:none"), &[], "unable to find group none: no matching entries in group file");
        check(User::Ids { uid: 33, gid: None }, &[], "33:33 [4, 5] /srv");
        check(User::Ids { uid: 33, gid: Some(1) }, &[], "33:1 [4, 5] /srv");
        check(User::Ids { uid: 500, gid: None }, &[3], "500:0 [3] /");
    }
}
