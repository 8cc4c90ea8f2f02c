//! A server that takes whatever is sent and answers with a byte: what an attack costs the machine that it comes from,
//! when no gateway is its target. Attackers and callers share processors here, so that is to be told apart.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

/// Connections that may wait to be taken in.
const BACKLOG: i32 = 4_096;
const STACK: usize = 64 << 10;

/// Starts it. Its threads end with the connections of whoever writes to it.
pub(super) fn start() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    rustix::net::listen(&listener, BACKLOG)?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let reader = thread::Builder::new().stack_size(STACK);
            let _ = reader.spawn(move || take(stream));
        }
    });
    Ok(address)
}

fn take(mut stream: TcpStream) -> io::Result<()> {
    let mut piece = [0; 16 << 10];
    while stream.read(&mut piece)? > 0 {
        stream.write_all(b".")?;
    }
    Ok(())
}
