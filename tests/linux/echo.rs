//! A UDP server that answers with its own name and what it was told: an entry of this very executable.

use std::net::UdpSocket;

/// Answers datagrams at port 7777 until it is killed.
pub fn udp() -> i32 {
    let Ok(socket) = UdpSocket::bind("0.0.0.0:7777") else { return 1 };
    let name = std::env::var("POD_NAME").unwrap_or_default();
    let mut buffer = [0; 512];
    loop {
        let Ok((length, peer)) = socket.recv_from(&mut buffer) else { return 1 };
        let said = String::from_utf8_lossy(&buffer[..length]).into_owned();
        let _ = socket.send_to(format!("{name}: {said}").as_bytes(), peer);
    }
}
