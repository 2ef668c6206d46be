//! The listener: TLS and plain HTTP on one port.

use super::{
    io::{Cut, Wire},
    persist::Store,
    tls::Identity,
};
use crate::{
    front::http::{Answer, Delivery, Request, decode},
    sim::Sim,
};
use http_body_util::{BodyExt, Limited};
use hyper::{
    Response,
    body::{Body, Bytes, Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{
    collections::VecDeque,
    convert::Infallible,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Mutex,
    time::Sleep,
};
use tokio_rustls::TlsAcceptor;

/// Largest body taken.
const LARGEST: usize = 4 << 20;
/// Into how many pieces a body is cut that comes slowly.
const DROPS: usize = 20;

/// What every connection shares.
#[derive(Clone)]
struct Shared {
    sim: Arc<Mutex<Sim>>,
    store: Option<Store>,
}

/// Serve `sim` on `listener` until the process ends.
///
/// # Errors
/// When the certificate can't be used.
pub async fn serve(
    listener: TcpListener,
    identity: &Identity,
    sim: Arc<Mutex<Sim>>,
    store: Option<Store>,
) -> Result<Infallible, String> {
    let acceptor = TlsAcceptor::from(identity.server()?);
    let shared = Shared { sim, store };
    loop {
        match listener.accept().await {
            Ok((tcp, _)) => {
                let (acceptor, shared) = (acceptor.clone(), shared.clone());
                tokio::spawn(async move {
                    if let Err(why) = connection(tcp, acceptor, shared).await {
                        tracing::debug!(why, "connection ended");
                    }
                });
            }
            Err(e) => {
                // Out of file handles, most likely: others will be freed.
                tracing::warn!(error = %e, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connection(tcp: TcpStream, acceptor: TlsAcceptor, shared: Shared) -> Result<(), String> {
    let mut first = [0];
    if tcp.peek(&mut first).await.map_err(|e| e.to_string())? == 0 {
        return Ok(());
    }
    let _ = tcp.set_nodelay(true);
    let cut = Cut::default();
    let wire = Wire::new(tcp, cut.clone());
    // A TLS connection begins with a handshake record.
    if first == [0x16] {
        let stream = acceptor.accept(wire).await.map_err(|e| e.to_string())?;
        talk(stream, true, cut, shared).await
    } else {
        talk(wire, false, cut, shared).await
    }
}

async fn talk<S>(stream: S, secure: bool, cut: Cut, shared: Shared) -> Result<(), String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let service = service_fn(|req| {
        let (shared, cut) = (shared.clone(), cut.clone());
        async move { respond(req, secure, &shared, &cut).await }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .await
        .map_err(|e| e.to_string())
}

async fn respond(
    req: hyper::Request<Incoming>,
    secure: bool,
    shared: &Shared,
    cut: &Cut,
) -> io::Result<Response<Pieces>> {
    let req = read(req, secure).await?;
    let (answer, seq) = {
        let mut sim = shared.sim.lock().await;
        let answer = sim.handle(&req);
        (answer, sim.state.mark.seq)
    };
    if let Some(store) = shared.store.as_ref().filter(|_| req.method != "GET") {
        store.reached(seq).await;
    }
    match answer.delivery {
        Delivery::Reset => {
            cut.now();
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Delivery::Never => std::future::pending().await,
        Delivery::Delayed(by) => tokio::time::sleep(by).await,
        Delivery::Whole | Delivery::Truncated | Delivery::Dripping(_) => {}
    }
    write(&answer)
}

async fn read(req: hyper::Request<Incoming>, secure: bool) -> io::Result<Request> {
    let (parts, body) = req.into_parts();
    let body = Limited::new(body, LARGEST).collect().await.map_err(io::Error::other)?.to_bytes();
    let headers = parts
        .headers
        .iter()
        .map(|(name, value)| (name.as_str().to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    Ok(Request {
        secure,
        method: parts.method.as_str().to_string(),
        path: decode(parts.uri.path()),
        query: parts.uri.query().unwrap_or_default().to_string(),
        headers,
        body: body.to_vec(),
    })
}

fn write(answer: &Answer) -> io::Result<Response<Pieces>> {
    let bytes = answer.bytes();
    let mut builder = Response::builder().status(answer.status);
    for (name, value) in &answer.headers {
        builder = builder.header(name, value);
    }
    if !bytes.is_empty() {
        let usual = "application/json; charset=utf-8";
        builder = builder.header("content-type", answer.text.as_ref().map_or(usual, |text| &text.content_type));
    }
    if answer.status != 204 {
        builder = builder.header("content-length", bytes.len());
    }
    builder.body(Pieces::of(bytes, answer.delivery)).map_err(io::Error::other)
}

/// A body that may break off, or come slowly: the pieces still to come.
struct Pieces {
    left: VecDeque<io::Result<Frame<Bytes>>>,
    /// The wait before each of them.
    pause: Duration,
    next: Pin<Box<Sleep>>,
}

impl Pieces {
    /// The whole body, half of it and an error, or drop by drop.
    fn of(bytes: Vec<u8>, delivery: Delivery) -> Self {
        let half = bytes.len() / 2;
        let drops = bytes.len().div_ceil(DROPS).max(1);
        let whole = Bytes::from(bytes);
        let left = match delivery {
            Delivery::Truncated => {
                [Ok(Frame::data(whole.slice(..half))), Err(io::ErrorKind::UnexpectedEof.into())].into()
            }
            Delivery::Dripping(_) => whole.chunks(drops).map(|part| Ok(Frame::data(whole.slice_ref(part)))).collect(),
            _ if whole.is_empty() => VecDeque::new(),
            _ => [Ok(Frame::data(whole))].into(),
        };
        let pause = match delivery {
            Delivery::Dripping(lasts) => lasts / DROPS as u32,
            _ => Duration::ZERO,
        };
        Self { left, pause, next: Box::pin(tokio::time::sleep(pause)) }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if !self.pause.is_zero() {
            ready!(self.next.as_mut().poll(cx));
            let due = self.next.deadline() + self.pause;
            self.next.as_mut().reset(due);
        }
        Poll::Ready(self.left.pop_front())
    }
}
