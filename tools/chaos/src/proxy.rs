//! A small TCP proxy in front of a server: what can happen on the way to it.

use std::io;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::fault::Toxic;

/// What is read at a time: a batch of the stages, more or less.
const BUFFER: usize = 16 * 1024;
/// Connections that wait to be taken.
const BACKLOG: u32 = 512;
/// Between two tries to listen again on a port that was given up for a while.
const AGAIN: Duration = Duration::from_millis(5);

/// A proxy on a loopback port of its own, for as long as the process lives.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    upstream: AtomicU16,
    /// How much later the server learns that its client has hung up.
    outlives: Duration,
    toxic: watch::Sender<Toxic>,
    /// Counts up each time that open connections are to be closed.
    cuts: watch::Sender<u64>,
}

impl Proxy {
    /// Listens. The server learns this much later that a client has hung up, and goes on with its request until then.
    ///
    /// # Errors
    /// No port is free.
    pub fn start(outlives: Duration) -> Result<Self> {
        let port = servers::free_port()?;
        let shared = Arc::new(Shared {
            upstream: AtomicU16::new(0),
            outlives,
            toxic: watch::Sender::new(Toxic::None),
            cuts: watch::Sender::new(0),
        });
        let runtime = runtime()?;
        let listener = runtime.block_on(async { listen(port) }).context("the proxy cannot listen")?;
        runtime.spawn(serve(listener, port, Arc::clone(&shared)));
        Ok(Self { port, shared })
    }

    /// Where clients connect.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Sends new connections to this port of the loopback interface.
    pub fn aim(&self, upstream: u16) {
        self.shared.upstream.store(upstream, Ordering::Relaxed);
    }

    /// From now on. A connection that lost something in its middle is of no use: it is closed when losing ends.
    pub fn set(&self, toxic: Toxic) {
        let before = self.shared.toxic.send_replace(toxic);
        let loses = |toxic| matches!(toxic, Toxic::DropAnswers | Toxic::HalfOpen);
        if loses(before) && before != toxic || matches!(toxic, Toxic::Cut | Toxic::Refuse) {
            self.shared.cuts.send_modify(|cuts| *cuts += 1);
        }
    }
}

/// The one runtime of all proxies.
fn runtime() -> Result<&'static Runtime> {
    static RUNTIME: OnceLock<io::Result<Runtime>> = OnceLock::new();
    let start = || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    RUNTIME.get_or_init(start).as_ref().map_err(|error| anyhow::anyhow!("no runtime for proxies: {error}"))
}

fn listen(port: u16) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
    socket.listen(BACKLOG)
}

/// Takes connections; refusing them means not to listen.
async fn serve(first: TcpListener, port: u16, shared: Arc<Shared>) {
    let mut toxic = shared.toxic.subscribe();
    let mut listener = Some(first);
    loop {
        if *toxic.borrow_and_update() == Toxic::Refuse {
            listener = None;
            if toxic.changed().await.is_err() {
                return;
            }
            continue;
        }
        let Some(open) = &listener else {
            listener = listen(port).ok();
            if listener.is_none() {
                tokio::time::sleep(AGAIN).await;
            }
            continue;
        };
        tokio::select! {
            changed = toxic.changed() => if changed.is_err() { return },
            taken = open.accept() => if let Ok((client, _)) = taken {
                tokio::spawn(connection(client, Arc::clone(&shared)));
            },
        }
    }
}

/// One connection, until either side ends it, or a toxic does.
async fn connection(mut client: TcpStream, shared: Arc<Shared>) {
    let mut cuts = shared.cuts.subscribe();
    let upstream = shared.upstream.load(Ordering::Relaxed);
    let Ok(mut server) = TcpStream::connect((Ipv4Addr::LOCALHOST, upstream)).await else {
        // Nobody there: the client learns it as a reset.
        let _ = client.set_zero_linger();
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ended = {
        let (client_reads, client_writes) = client.split();
        let (server_reads, server_writes) = server.split();
        let requests = pump(client_reads, server_writes, Way::Request, &shared);
        let answers = pump(server_reads, client_writes, Way::Answer, &shared);
        tokio::select! {
            ended = async { tokio::try_join!(requests, answers) } => ended.map(drop),
            _ = cuts.changed() => Err(io::ErrorKind::ConnectionReset.into()),
        }
    };
    if ended.is_err() {
        // A reset, not an end: nobody may take what was sent for the whole.
        let _ = (client.set_zero_linger(), server.set_zero_linger());
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Request,
    Answer,
}

async fn pump(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, way: Way, shared: &Shared) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    let mut passed: u64 = 0;
    loop {
        let read = from.read(&mut buffer).await;
        if way == Way::Request && !matches!(read, Ok(1..)) {
            tokio::time::sleep(shared.outlives).await;
        }
        let length = read?;
        if length == 0 {
            return to.shutdown().await;
        }
        let toxic = *shared.toxic.borrow();
        let bytes = &buffer[..length];
        match toxic {
            Toxic::None | Toxic::Cut | Toxic::Refuse => to.write_all(bytes).await?,
            Toxic::Delay { ms } => {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                to.write_all(bytes).await?;
            }
            Toxic::DropAnswers if way == Way::Request => to.write_all(bytes).await?,
            Toxic::ResetAfter { .. } if way == Way::Request => to.write_all(bytes).await?,
            Toxic::DropAnswers | Toxic::HalfOpen => {}
            Toxic::ResetAfter { bytes: most } => {
                let left = usize::try_from(most.saturating_sub(passed)).unwrap_or(usize::MAX);
                to.write_all(&bytes[..left.min(length)]).await?;
                passed += length as u64;
                if passed >= most {
                    return Err(io::ErrorKind::ConnectionReset.into());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// A server that sends everything back.
    fn echo() -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                std::thread::spawn(move || {
                    let mut buffer = [0; 1024];
                    while let Ok(length @ 1..) = stream.read(&mut buffer) {
                        if stream.write_all(&buffer[..length]).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        port
    }

    fn through(proxy: &Proxy) -> io::Result<TcpStream> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port()))?;
        stream.set_read_timeout(Some(Duration::from_millis(300)))?;
        Ok(stream)
    }

    fn said(stream: &mut TcpStream, text: &str) -> io::Result<String> {
        stream.write_all(text.as_bytes())?;
        let mut back = vec![0; text.len()];
        stream.read_exact(&mut back)?;
        Ok(String::from_utf8(back).unwrap())
    }

    #[test]
    fn what_a_toxic_does_ends_with_it() {
        let proxy = Proxy::start(Duration::ZERO).unwrap();
        proxy.aim(echo());
        let mut open = through(&proxy).unwrap();
        assert_eq!(said(&mut open, "one").unwrap(), "one");
        for lossy in [Toxic::DropAnswers, Toxic::HalfOpen] {
            let mut stream = through(&proxy).unwrap();
            assert_eq!(said(&mut stream, "before").unwrap(), "before");
            proxy.set(lossy);
            let lost = said(&mut stream, "during").unwrap_err();
            assert_eq!(lost.kind(), io::ErrorKind::WouldBlock, "{lossy:?}: open, and silent");
            proxy.set(Toxic::None);
            let closed = said(&mut stream, "after");
            assert!(closed.is_err(), "{lossy:?}: a connection with a hole was used again: {closed:?}");
        }
        proxy.set(Toxic::ResetAfter { bytes: 4 });
        assert_eq!(said(&mut through(&proxy).unwrap(), "abc").unwrap(), "abc");
        assert!(said(&mut through(&proxy).unwrap(), "abcdef").is_err());
        proxy.set(Toxic::None);
        assert_eq!(said(&mut through(&proxy).unwrap(), "two").unwrap(), "two");
    }

    #[test]
    fn a_refused_client_is_told_at_once_and_gets_through_again_later() {
        let proxy = Proxy::start(Duration::ZERO).unwrap();
        proxy.aim(echo());
        let mut open = through(&proxy).unwrap();
        assert_eq!(said(&mut open, "one").unwrap(), "one");
        proxy.set(Toxic::Refuse);
        assert!(said(&mut open, "two").is_err(), "open connections are closed");
        let refused = servers::poll(Duration::from_secs(5), || {
            let kind = through(&proxy).err()?.kind();
            Some(kind)
        });
        assert_eq!(refused, Some(io::ErrorKind::ConnectionRefused));
        proxy.set(Toxic::None);
        let again = servers::poll(Duration::from_secs(5), || through(&proxy).ok()).unwrap();
        assert_eq!(said(&mut { again }, "three").unwrap(), "three");
    }
}
