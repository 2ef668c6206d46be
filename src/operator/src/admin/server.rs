//! HTTP for whoever connects, within bounds: nobody holds up the stop, or a place for ever.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Sleep, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// How soon it is listened again after the system had no connection to give.
const AFTER_FAILURE: Duration = Duration::from_millis(500);

/// What nobody may exceed.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Connections at a time; more wait for one to end.
    pub connections: usize,
    /// How long a request's head may take, and a connection be without one.
    pub head: Duration,
    /// How long a client may take nothing of what is sent.
    pub stall: Duration,
    /// How long requests may go on after the stop.
    pub drain: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections: 256,
            head: Duration::from_secs(10),
            stall: Duration::from_secs(30),
            drain: Duration::from_secs(5),
        }
    }
}

/// Answers until told to stop, and then what is under way, for a while.
pub async fn serve(listener: TcpListener, router: Router, bounds: Bounds, stop: CancellationToken) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(bounds.head);
    let (graceful, places) = (GracefulShutdown::new(), Arc::new(Semaphore::new(bounds.connections)));
    // Dropped at the end, which breaks off what is left.
    let mut connections = JoinSet::new();
    loop {
        let next = async { (places.clone().acquire_owned().await, listener.accept().await) };
        let (place, accepted) = tokio::select! {
            () = stop.cancelled() => break,
            next = next => next,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, _)) => {
                let io = TokioIo::new(Prompt::new(stream, bounds.stall));
                let served = graceful.watch(http.serve_connection(io, TowerToHyperService::new(router.clone())));
                connections.spawn(async move {
                    if let Err(error) = served.await {
                        tracing::debug!(%error, "a connection to the admin port broke off");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the admin port takes no connection");
                sleep(AFTER_FAILURE).await;
            }
        }
    }
    drop(listener);
    if timeout(bounds.drain, graceful.shutdown()).await.is_err() {
        tracing::info!(connections = connections.len(), "connections to the admin port are broken off");
    }
}

/// A connection whose other end has to take what it is sent.
struct Prompt {
    stream: TcpStream,
    most: Duration,
    /// Runs while nothing is taken.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Prompt {
    fn new(stream: TcpStream, most: Duration) -> Self {
        Self { stream, most, stalled: None }
    }

    fn watched<T>(&mut self, context: &mut Context<'_>, sent: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if sent.is_ready() {
            self.stalled = None;
            return sent;
        }
        let most = self.most;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(most)));
        std::task::ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing")))
    }
}

impl AsyncRead for Prompt {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Prompt {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let sent = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watched(cx, sent)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let sent = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.watched(cx, sent)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::body::{Body, Bytes};
    use axum::routing::get;
    use futures::StreamExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::mpsc;
    use tokio::task::JoinHandle;

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);
    const SHORT: Duration = Duration::from_millis(50);
    /// No bound but the one that a test is about.
    const WIDE: Bounds = Bounds { connections: 256, head: LONG, stall: LONG, drain: LONG };
    const WHOLE: &[u8] = b"GET /ok HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    const HALF: &[u8] = b"GET /ok HTTP/1.1\r\nhost:";

    /// Tells when it is dropped.
    struct Held(mpsc::UnboundedSender<()>);

    impl Drop for Held {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }

    struct Started {
        address: SocketAddr,
        stop: CancellationToken,
        serving: JoinHandle<()>,
        given_up: mpsc::UnboundedReceiver<()>,
    }

    /// `/ok` answers; `/much` has no end, and tells when it is given up.
    async fn started(bounds: Bounds) -> Started {
        let (tell, given_up) = mpsc::unbounded_channel();
        let much = move || {
            let held = Held(tell.clone());
            let parts = futures::stream::repeat(Bytes::from_static(&[b'x'; 65536]));
            let parts = parts.map(move |part| {
                let _ = &held;
                Ok::<_, io::Error>(part)
            });
            async move { Body::from_stream(parts) }
        };
        let router = Router::new().route("/ok", get(|| async { "ok" })).route("/much", get(much));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let serving = tokio::spawn(serve(listener, router, bounds, stop.clone()));
        Started { address, stop, serving, given_up }
    }

    async fn sent(address: SocketAddr, bytes: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream
    }

    /// What is answered until the connection ends; an end without a farewell is one.
    async fn answer(mut stream: TcpStream) -> String {
        let mut text = Vec::new();
        let _ = stream.read_to_end(&mut text).await;
        String::from_utf8(text).unwrap()
    }

    #[tokio::test]
    async fn half_a_request_does_not_hold_up_the_stop() {
        let Started { address, stop, serving, .. } = started(Bounds { drain: SHORT, ..WIDE }).await;
        let half = sent(address, HALF).await;
        // Connections are taken in their order: the half one has been when this is answered.
        assert!(answer(sent(address, WHOLE).await).await.ends_with("ok"));
        stop.cancel();
        serving.await.unwrap();
        assert_eq!(answer(half).await, "");
    }

    #[tokio::test]
    async fn who_asks_nothing_is_let_go() {
        let Started { address, .. } = started(Bounds { head: SHORT, ..WIDE }).await;
        for begun in [&b""[..], HALF] {
            assert!(!answer(sent(address, begun).await).await.contains("200 OK"));
        }
        // Also after an answer, where the connection would have lived on.
        let kept = sent(address, b"GET /ok HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert!(answer(kept).await.contains("200 OK"));
    }

    #[tokio::test]
    async fn more_than_may_connect_wait() {
        let Started { address, .. } = started(Bounds { connections: 1, ..WIDE }).await;
        let first = sent(address, HALF).await;
        let mut second = tokio::spawn(answer(sent(address, WHOLE).await));
        assert!(timeout(SHORT, &mut second).await.is_err(), "it was answered beside the first");
        drop(first);
        assert!(second.await.unwrap().ends_with("ok"));
    }

    #[tokio::test]
    async fn who_takes_nothing_loses_the_stream() {
        let Started { address, mut given_up, .. } = started(Bounds { stall: SHORT, ..WIDE }).await;
        let _idle = sent(address, b"GET /much HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert_eq!(given_up.recv().await, Some(()));
    }
}
