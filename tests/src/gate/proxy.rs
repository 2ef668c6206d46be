//! The gate's doors: TLS and HTTP/1.1 on one side, a client on the other.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, TRANSFER_ENCODING};
use http::request::Parts;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::ledger::{Held, Ledger, Moment};
use super::stream::{Watching, lines};
use super::write::{Side, Write};
use crate::controlplane::keys::Keys;
use crate::{Error, Result, files};

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// The group whose watches and lists the gate may keep back.
const GROUP: &str = "/apis/azureml.dev/";

/// What both doors share.
#[derive(Default)]
pub(super) struct Route {
    pub(super) ledger: Ledger,
    pub(super) watching: watch::Sender<Watching>,
    lists: Mutex<HashMap<String, Bytes>>,
}

impl Route {
    pub(super) fn answer_lists(&self, plural: &str, list: Option<Value>) {
        let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        match list {
            Some(list) => lists.insert(plural.to_string(), Bytes::from(list.to_string())),
            None => lists.remove(plural),
        };
    }

    /// What a list over all namespaces is answered with, if not by the API server.
    fn list(&self, path: &str) -> Option<Bytes> {
        let lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        let of_group = path.strip_prefix(GROUP)?;
        lists.get(of_group.split_once('/')?.1).cloned()
    }
}

/// A door, open until it is dropped.
pub(super) struct Door {
    url: String,
    task: AbortHandle,
}

impl Drop for Door {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Door {
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Listens on a free port for what goes to `upstream`, whose CA is in that file.
    pub(super) async fn open(side: Side, upstream: &str, ca: &Path, keys: &Keys, route: Arc<Route>) -> Result<Self> {
        let acceptor = TlsAcceptor::from(Arc::new(tls(keys)?));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(Error::io("listen for the gate"))?;
        let address = listener.local_addr().map_err(Error::io("listen for the gate"))?;
        let passage = Arc::new(Passage { side, upstream: upstream.to_string(), http: client(ca)?, route });
        let task = tokio::spawn(serve(listener, acceptor, passage)).abort_handle();
        Ok(Door { url: format!("https://127.0.0.1:{}", address.port()), task })
    }
}

fn tls(keys: &Keys) -> Result<ServerConfig> {
    let bad = |error: &dyn std::fmt::Display| Error::Invalid(format!("the gate's certificate: {error}"));
    let (cert, key) = (files::read(&keys.serving)?, files::read(&keys.serving_key)?);
    let cert = CertificateDer::from_pem_slice(cert.as_bytes()).map_err(|error| bad(&error))?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|error| bad(&error))?;
    ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| bad(&error))?
        .with_no_client_auth()
        .with_single_cert(vec![cert], key)
        .map_err(|error| bad(&error))
}

/// A client that does what it is told once: no redirects, no retries, no limit of time.
fn client(ca: &Path) -> Result<reqwest::Client> {
    let bad = |error: &dyn std::fmt::Display| Error::Invalid(format!("the gate's client ({}): {error}", ca.display()));
    let ca = reqwest::Certificate::from_pem(files::read(ca)?.as_bytes()).map_err(|error| bad(&error))?;
    let builder = reqwest::Client::builder().no_proxy().tls_certs_only([ca]).http1_only();
    let builder = builder.redirect(reqwest::redirect::Policy::none()).retry(reqwest::retry::never());
    builder.build().map_err(|error| bad(&error))
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, passage: Arc<Passage>) -> Infallible {
    // The connections end with the door.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((tcp, _)) = accepted else { continue };
                connections.spawn(connection(tcp, acceptor.clone(), passage.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Serves one connection. How it ends is between its two ends.
async fn connection(tcp: TcpStream, acceptor: TlsAcceptor, passage: Arc<Passage>) {
    let _ = tcp.set_nodelay(true);
    let Ok(stream) = acceptor.accept(tcp).await else { return };
    let service = service_fn(move |request| {
        let passage = passage.clone();
        async move { passage.answer(request).await }
    });
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// The way through one door.
struct Passage {
    side: Side,
    upstream: String,
    http: reqwest::Client,
    route: Arc<Route>,
}

impl Passage {
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, io::Error> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        match Write::of(self.side, &parts, &body) {
            Some(write) => self.write(write, &parts, body).await,
            None => self.read(&parts, body).await,
        }
    }

    /// A write: counted, looked at, and held where that is asked for.
    async fn write(&self, write: Write, parts: &Parts, body: Bytes) -> Result<Response<Body>, io::Error> {
        let (write, held) = self.route.ledger.enter(write);
        self.route.ledger.look_at(&write).await;
        let (before, after) = match held {
            Some(held) if held.moment == Moment::Before => (Some(held), None),
            held => (None, held),
        };
        holds(before, &write).await?;
        let answer = self.forward(parts, body).await?;
        let (mut head, body) = http::Response::<reqwest::Body>::from(answer).into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        self.route.ledger.answered(write.seq, head.status.as_u16());
        holds(after, &write).await?;
        end_to_end(&mut head.headers);
        Ok(Response::from_parts(head, whole(body)))
    }

    async fn read(&self, parts: &Parts, body: Bytes) -> Result<Response<Body>, io::Error> {
        let path = parts.uri.path();
        let query = parts.uri.query().unwrap_or_default();
        let watches = query.split('&').any(|part| matches!(part, "watch=true" | "watch=1"));
        if let Some(list) = self.route.list(path).filter(|_| self.side == Side::Kubernetes && !watches) {
            return Response::builder()
                .header(CONTENT_TYPE, "application/json")
                .body(whole(list))
                .map_err(io::Error::other);
        }
        if watches && path.starts_with(GROUP) {
            let answers = |watching: &Watching| *watching != Watching::Unanswered;
            self.route.watching.subscribe().wait_for(answers).await.map_err(io::Error::other)?;
        }
        let answer = self.forward(parts, body).await?;
        if watches && answer.status().is_success() && path.starts_with(GROUP) {
            let mut head = Response::builder().status(answer.status());
            if let Some(kind) = answer.headers().get(CONTENT_TYPE) {
                head = head.header(CONTENT_TYPE, kind);
            }
            let lines = lines(answer, self.route.watching.subscribe());
            let body = StreamBody::new(lines.map(|line| Ok::<_, io::Error>(Frame::data(line))));
            return head.body(UnsyncBoxBody::new(body)).map_err(io::Error::other);
        }
        let (mut head, body) = http::Response::<reqwest::Body>::from(answer).into_parts();
        end_to_end(&mut head.headers);
        Ok(Response::from_parts(head, body.map_err(io::Error::other).boxed_unsync()))
    }

    /// Passes a request on. The Host stays the gate's: what the server links to has to lead back here.
    async fn forward(&self, parts: &Parts, body: Bytes) -> Result<reqwest::Response, io::Error> {
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut headers = parts.headers.clone();
        end_to_end(&mut headers);
        headers.remove(CONTENT_LENGTH);
        let request = self.http.request(parts.method.clone(), format!("{}{path}", self.upstream)).headers(headers);
        let request =
            if body.is_empty() && parts.headers.get(CONTENT_LENGTH).is_none() { request } else { request.body(body) };
        request.send().await.map_err(io::Error::other)
    }
}

/// Waits while a write is held.
async fn holds(held: Option<Held>, write: &Write) -> Result<(), io::Error> {
    let Some(held) = held else { return Ok(()) };
    if held.wait(write.clone()).await { Ok(()) } else { Err(io::Error::other("held at the gate for ever")) }
}

/// Leaves out the headers that are about one connection only.
fn end_to_end(headers: &mut HeaderMap) {
    for name in [CONNECTION, TRANSFER_ENCODING] {
        headers.remove(name);
    }
}

fn whole(body: Bytes) -> Body {
    UnsyncBoxBody::new(Full::new(body).map_err(|never| match never {}))
}
