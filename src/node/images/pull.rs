//! What to do about a container's image: use it, fetch it, wait, or give up. The words are upstream's.
//!
//! Pure: sees what is known and answers; fetching is [`ImageStore::pull`](super::ImageStore::pull).
//!
//! Invariant: a failure always has one of the standard reasons.

use super::{Image, ImageError, ImageRef};

/// `imagePullPolicy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullPolicy {
    /// Ask for it at every start.
    Always,
    /// Ask for it when it is not here.
    IfNotPresent,
    /// Never ask.
    Never,
}

impl PullPolicy {
    /// Reads the field; anything else (and nothing) is what the image's name implies.
    pub fn of(field: Option<&str>, image: &str) -> PullPolicy {
        match field {
            Some("Always") => PullPolicy::Always,
            Some("IfNotPresent") => PullPolicy::IfNotPresent,
            Some("Never") => PullPolicy::Never,
            _ => match ImageRef::parse(image) {
                Ok(name) if name.tag() == Some("latest") && name.digest().is_none() => PullPolicy::Always,
                _ => PullPolicy::IfNotPresent,
            },
        }
    }
}

/// What the node knows of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Nothing.
    Absent,
    /// It was fetched from a source.
    Fetched,
    /// It came in by hand or is built in: the node itself is the authority, whatever the policy.
    Local,
}

impl Presence {
    /// What [`ImageStore::resolve`](super::ImageStore::resolve) found.
    pub fn of(image: Option<&Image>) -> Presence {
        match image {
            None => Presence::Absent,
            Some(image) if image.local => Presence::Local,
            Some(_) => Presence::Fetched,
        }
    }
}

/// Why a container waits for its image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullReason {
    /// The last attempt failed.
    ErrImagePull,
    /// The next attempt is some time away.
    ImagePullBackOff,
    /// It is not here and must not be fetched.
    ErrImageNeverPull,
    /// Its name is none.
    InvalidImageName,
    /// It is here and cannot be read.
    ImageInspectError,
}

impl PullReason {
    /// As it is written in `state.waiting.reason`.
    pub fn as_str(self) -> &'static str {
        match self {
            PullReason::ErrImagePull => "ErrImagePull",
            PullReason::ImagePullBackOff => "ImagePullBackOff",
            PullReason::ErrImageNeverPull => "ErrImageNeverPull",
            PullReason::InvalidImageName => "InvalidImageName",
            PullReason::ImageInspectError => "ImageInspectError",
        }
    }

    /// The reason of the event that tells of it.
    pub fn event(self) -> &'static str {
        match self {
            PullReason::ErrImagePull => "Failed",
            PullReason::ImagePullBackOff => "BackOff",
            PullReason::ErrImageNeverPull => "ErrImageNeverPull",
            PullReason::InvalidImageName | PullReason::ImageInspectError => "InspectFailed",
        }
    }
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PullDecision {
    /// It is here: start. The message goes with an event `Pulled`.
    Use {
        /// The event's text.
        message: String,
    },
    /// Fetch it. The message goes with an event `Pulling`.
    Pull {
        /// The name to fetch.
        reference: ImageRef,
        /// The event's text.
        message: String,
    },
    /// The container waits.
    Wait {
        /// For `state.waiting.reason`.
        reason: PullReason,
        /// For `state.waiting.message`.
        message: String,
        /// The event's text, which lacks the cause of the last failure.
        event: String,
    },
}

/// Decides about the image that a container names. `back_off` holds the text of the last failure (as
/// [`failed`] made it) while the time until the next attempt has not passed.
pub fn decide(policy: PullPolicy, image: &str, presence: Presence, back_off: Option<&str>) -> PullDecision {
    let reference = match ImageRef::parse(image) {
        Ok(reference) => reference,
        Err(error) => {
            let message = format!("Failed to apply default image tag {image:?}: {error}");
            let event = message.clone();
            return PullDecision::Wait { reason: PullReason::InvalidImageName, message, event };
        }
    };
    match (policy, presence) {
        (_, Presence::Local) | (PullPolicy::IfNotPresent | PullPolicy::Never, Presence::Fetched) => {
            PullDecision::Use {
                message: format!(
                    "Container image {image:?} already present on machine and can be accessed by the pod"
                ),
            }
        }
        (PullPolicy::Never, Presence::Absent) => {
            let message = format!("Container image {image:?} is not present with pull policy of Never");
            let event = message.clone();
            PullDecision::Wait { reason: PullReason::ErrImageNeverPull, message, event }
        }
        _ => match back_off {
            Some(last) => {
                let event = format!("Back-off pulling image {image:?}");
                let message = if last.is_empty() { event.clone() } else { format!("{event}: {last}") };
                PullDecision::Wait { reason: PullReason::ImagePullBackOff, message, event }
            }
            None => PullDecision::Pull { reference, message: format!("Pulling image {image:?}") },
        },
    }
}

/// A fetch that failed: the waiting state, the event `Failed`, and the text that `back_off` takes later.
pub fn failed(image: &str, error: &ImageError) -> (PullDecision, String) {
    let message = error.to_string();
    let event = format!("Failed to pull image {image:?}: {message}");
    let later = format!("{}: {message}", PullReason::ErrImagePull.as_str());
    (PullDecision::Wait { reason: PullReason::ErrImagePull, message, event }, later)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(policy: PullPolicy, image: &str, presence: Presence, back_off: Option<&str>, expected: &str) {
        let found = match decide(policy, image, presence, back_off) {
            PullDecision::Use { .. } => "use".to_owned(),
            PullDecision::Pull { reference, message } => format!("pull {reference}: {message}"),
            PullDecision::Wait { reason, message, .. } => format!("{}: {message}", reason.as_str()),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn decisions_are_upstreams() {
        use Presence::{Absent, Fetched, Local};
        use PullPolicy::*;
        check(Always, "a", Local, None, "use");
        check(Never, "a", Fetched, None, "use");
        check(IfNotPresent, "a", Fetched, Some("x"), "use");
        check(Always, "a", Fetched, None, "pull docker.io/library/a:latest: Pulling image \"a\"");
        check(IfNotPresent, "a:1", Absent, None, "pull docker.io/library/a:1: Pulling image \"a:1\"");
        check(
            Never,
            "a:1",
            Absent,
            None,
            "ErrImageNeverPull: Container image \"a:1\" is not present with pull policy of Never",
        );
        check(
            Always,
            "a:1",
            Absent,
            Some("ErrImagePull: no"),
            "ImagePullBackOff: Back-off pulling image \"a:1\": ErrImagePull: no",
        );
        check(
            Always,
            "A:1",
            Absent,
            None,
            "InvalidImageName: Failed to apply default image tag \"A:1\": couldn't parse image name \"A:1\": \
             invalid reference format: repository name (library/A) must be lowercase",
        );
    }

    #[test]
    fn the_default_policy_follows_the_tag() {
        assert_eq!(PullPolicy::of(None, "a"), PullPolicy::Always);
        assert_eq!(PullPolicy::of(None, "a:latest"), PullPolicy::Always);
        assert_eq!(PullPolicy::of(None, "a:1"), PullPolicy::IfNotPresent);
        assert_eq!(PullPolicy::of(Some("Never"), "a"), PullPolicy::Never);
    }

    #[test]
    fn failures_keep_their_text_for_the_back_off() {
        let error = ImageError::NotFound { reference: "a:1".into(), detail: String::new() };
        let (decision, later) = failed("a:1", &error);
        let PullDecision::Wait { reason, event, .. } = decision else { panic!() };
        assert_eq!(reason, PullReason::ErrImagePull);
        assert_eq!(event, "Failed to pull image \"a:1\": image \"a:1\" not found");
        assert_eq!(later, "ErrImagePull: image \"a:1\" not found");
    }
}
