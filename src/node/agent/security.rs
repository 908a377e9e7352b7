//! Maps the security of a pod and a container to what the runtime understands.
//!
//! Pure. What a container says wins over what its pod says, as upstream merges them. What this node cannot honour is
//! refused, never weakened silently.
//!
//! Invariant: a container that must not run as root is never given to the runtime with a user known to be root.

use k8s_openapi::api::core::v1::{Container, Pod, PodSecurityContext, SecurityContext};

use super::seams::ResolvedImage;
use crate::node::runtime::{Seccomp, Security, Sharing, User};

/// What a pod shares with the node.
pub fn sharing(pod: &Pod) -> Sharing {
    let Some(spec) = &pod.spec else { return Sharing::default() };
    Sharing {
        host_network: spec.host_network.unwrap_or(false),
        host_pid: spec.host_pid.unwrap_or(false),
        host_ipc: spec.host_ipc.unwrap_or(false),
        share_pid: spec.share_process_namespace.unwrap_or(false),
    }
}

fn number(value: Option<i64>) -> Option<u32> {
    value.and_then(|value| u32::try_from(value).ok())
}

/// The user of an image, where it is a number.
fn image_uid(image: &ResolvedImage) -> Option<u32> {
    let user = image.user.split(':').next().unwrap_or_default();
    if user.is_empty() { Some(0) } else { user.parse().ok() }
}

/// Checks `runAsNonRoot`, in upstream's words.
fn check_non_root(
    pod: &Pod,
    container: &Container,
    image: &ResolvedImage,
    uid: Option<u32>,
) -> Result<(), String> {
    let meta = &pod.metadata;
    let named = format!(
        "(pod: \"{}_{}({})\", container: {})",
        meta.name.as_deref().unwrap_or_default(),
        meta.namespace.as_deref().unwrap_or_default(),
        meta.uid.as_deref().unwrap_or_default(),
        container.name
    );
    if let Some(uid) = uid {
        return match uid {
            0 => Err(format!("container's runAsUser breaks non-root policy {named}")),
            _ => Ok(()),
        };
    }
    match image_uid(image) {
        Some(0) => Err(format!("container has runAsNonRoot and image will run as root {named}")),
        Some(_) => Ok(()),
        None => {
            let user = image.user.split(':').next().unwrap_or_default();
            Err(format!(
                "container has runAsNonRoot and image has non-numeric user ({user}), cannot verify user is non-root \
                 {named}"
            ))
        }
    }
}

fn seccomp(
    pod: &PodSecurityContext,
    own: &SecurityContext,
    default: Seccomp,
    privileged: bool,
) -> Result<Seccomp, String> {
    let profile = own.seccomp_profile.as_ref().or(pod.seccomp_profile.as_ref());
    match profile.map(|profile| profile.type_.as_str()) {
        _ if privileged => Ok(Seccomp::Unconfined),
        None => Ok(default),
        Some("Unconfined") => Ok(Seccomp::Unconfined),
        Some("RuntimeDefault") => Ok(Seccomp::RuntimeDefault),
        Some("Localhost") => {
            Err("seccomp profiles of type Localhost are not supported by this node".to_owned())
        }
        Some(other) => Err(format!("unknown seccomp profile type {other:?}")),
    }
}

/// The security of a container, or why it cannot be had: `CreateContainerConfigError`.
pub fn container_security(
    pod: &Pod,
    container: &Container,
    image: &ResolvedImage,
    default_seccomp: Seccomp,
) -> Result<Security, String> {
    let of_pod = pod.spec.as_ref().and_then(|spec| spec.security_context.clone()).unwrap_or_default();
    let own = container.security_context.clone().unwrap_or_default();
    let uid = number(own.run_as_user.or(of_pod.run_as_user));
    let gid = number(own.run_as_group.or(of_pod.run_as_group));
    let must_be_non_root = own.run_as_non_root.or(of_pod.run_as_non_root).unwrap_or(false);
    if must_be_non_root {
        check_non_root(pod, container, image, uid)?;
    }
    let user = match (uid, gid) {
        (Some(uid), gid) => User::Ids { uid, gid },
        (None, None) => User::Image(image.user.clone()),
        (None, Some(gid)) => match image_uid(image) {
            Some(uid) => User::Ids { uid, gid: Some(gid) },
            None => {
                let name = image.user.split(':').next().unwrap_or_default();
                User::Image(format!("{name}:{gid}"))
            }
        },
    };
    let mut groups: Vec<u32> =
        of_pod.supplemental_groups.iter().flatten().filter_map(|group| number(Some(*group))).collect();
    groups.extend(number(of_pod.fs_group));
    groups.dedup();
    let privileged = own.privileged.unwrap_or(false);
    let capabilities = own.capabilities.clone().unwrap_or_default();
    let names = |list: Option<Vec<String>>| -> Vec<String> {
        let short = |name: String| {
            let upper = name.to_ascii_uppercase();
            upper.strip_prefix("CAP_").map(str::to_owned).unwrap_or(upper)
        };
        list.unwrap_or_default().into_iter().map(short).collect()
    };
    Ok(Security {
        user,
        supplemental_groups: groups,
        must_be_non_root,
        privileged,
        add_capabilities: names(capabilities.add),
        drop_capabilities: names(capabilities.drop),
        no_new_privileges: own.allow_privilege_escalation == Some(false),
        seccomp: seccomp(&of_pod, &own, default_seccomp, privileged)?,
        read_only_root: own.read_only_root_filesystem.unwrap_or(false),
        unmasked_proc: own.proc_mount.as_deref() == Some("Unmasked"),
    })
}
