//! Images made of this machine's programs.

use std::path::{Path, PathBuf};

use coracle::node::images::ImageBuilder;

/// The name of the busybox image.
pub const BUSYBOX: &str = "test/busybox:1";

const APPLETS: &str = "awk basename cat chmod cp cut date dd dirname env expr false find grep head hostname httpd id \
                       kill ln ls mkdir mktemp mount mv nc nslookup od pidof printf ps pwd readlink rm sed seq sh \
                       sleep sort stat tail tee test touch tr true umount uname unshare wc wget xargs yes";

/// A program of this machine, or a sentence about the package that brings it.
pub fn program(candidates: &[&str], package: &str) -> PathBuf {
    let found = candidates.iter().map(Path::new).find(|path| path.is_file());
    found
        .unwrap_or_else(|| {
            panic!("{} is not installed: apt-get install -y {package}", candidates.join(" or "))
        })
        .to_owned()
}

/// Busybox with its applets, no entry point.
pub fn busybox() -> ImageBuilder {
    let program = program(&["/usr/bin/busybox", "/bin/busybox"], "busybox-static");
    let mut image = ImageBuilder::new(BUSYBOX).gzip(false).copy_binary_to(program, "/bin/busybox");
    for applet in APPLETS.split_whitespace() {
        image = image.symlink(format!("/bin/{applet}"), "busybox");
    }
    image
}

/// nginx with the configuration that a pod brings; SIGQUIT is its graceful end.
pub fn nginx(name: &str) -> ImageBuilder {
    let nginx = program(&["/usr/sbin/nginx"], "nginx-light");
    ImageBuilder::new(name)
        .copy_binary_to(nginx, "/usr/sbin/nginx")
        .folder("/var/log/nginx", 0o755)
        .folder("/var/lib/nginx", 0o755)
        .folder("/run", 0o755)
        .entrypoint(["/usr/sbin/nginx", "-c", "/etc/nginx/nginx.conf", "-e", "stderr", "-g", "daemon off;"])
        .stop_signal("SIGQUIT")
        .expose("80/tcp")
}

/// redis, which keeps its data in `/data`.
pub fn redis(name: &str) -> ImageBuilder {
    let redis = program(&["/usr/bin/redis-server"], "redis-server");
    ImageBuilder::new(name)
        .copy_binary(redis)
        .folder("/data", 0o755)
        .working_dir("/data")
        .entrypoint(["/usr/bin/redis-server"])
        .cmd(["--bind", "0.0.0.0", "--protected-mode", "no"])
        .expose("6379/tcp")
}
