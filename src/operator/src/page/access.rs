//! Who may look: a bearer token that the API server knows, and whose user may list our kinds there.
//!
//! What a viewer sees is what `kubectl get` would show them. Reviews are kept for a short while, by a keyed hash of the
//! token; the token itself is held by nobody but the stream that it opened.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::engine::watch::kinds;
use crate::index::Key;

/// How long a review counts. A stream is looked at again as often.
pub const REVIEW_LASTS: Duration = Duration::from_secs(20);
/// Reviews that are kept.
const MOST_KNOWN: usize = 256;
/// Tokens that are reviewed at a time: whoever sends nonsense doesn't load the API server.
const MOST_AT_A_TIME: usize = 4;
/// Namespaces that are asked about for somebody who may not list in the whole cluster.
const MOST_NAMESPACES: usize = 100;
/// Namespaces that are asked about at a time, for one viewer.
const NAMESPACES_AT_A_TIME: usize = 8;
/// Longest wait for the API server.
const LONGEST_REVIEW: Duration = Duration::from_secs(10);
/// Longest token, in bytes.
const LONGEST_TOKEN: usize = 16 * 1024;

/// Where a viewer may list a kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// In every namespace.
    All,
    /// In these.
    Only(BTreeSet<String>),
}

/// What a viewer may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// Who it is, as the API server says.
    pub user: String,
    /// Where, by kind. Empty for somebody of whom it isn't known that they may list anywhere, nor that they may not.
    pub kinds: BTreeMap<&'static str, Scope>,
    /// Namespaces that weren't asked about, for being too many.
    pub unasked: usize,
}

impl Access {
    /// Whether an object is among it.
    pub fn sees(&self, key: &Key) -> bool {
        match self.kinds.get(key.kind) {
            Some(Scope::All) => true,
            Some(Scope::Only(namespaces)) => namespaces.contains(&key.namespace),
            None => false,
        }
    }

    /// The namespaces that bound it; `None` if it sees one kind in all of them.
    pub fn namespaces(&self) -> Option<BTreeSet<String>> {
        let mut all = BTreeSet::new();
        for scope in self.kinds.values() {
            match scope {
                Scope::All => return None,
                Scope::Only(namespaces) => all.extend(namespaces.iter().cloned()),
            }
        }
        Some(all)
    }
}

/// Why somebody may not look.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No token, or what can be none.
    #[error("a token is needed: Authorization: Bearer …")]
    NoToken,
    /// Not one of this cluster's API server, or no longer.
    #[error("the API server doesn't accept the token: it is wrong, has run out, or is for another audience")]
    Unknown,
    /// A known user without rights.
    #[error(
        "{user} may not list workspaces or computeclusters of azureml.dev in any namespace that is watched; the role view \
         has these rights where the chart's rbac.aggregate is on"
    )]
    Forbidden {
        /// Who.
        user: String,
    },
    /// It couldn't be found out.
    #[error("the API server can't be asked about the token now: {0}")]
    Unavailable(String),
}

/// Asks about tokens and rights.
pub trait Reviewer: Send + Sync + 'static {
    /// Whose token it is; `None` if nobody's.
    fn user(&self, token: &str) -> impl Future<Output = Result<Option<UserInfo>, kube::Error>> + Send;
    /// Whether a user may list a kind in a namespace; `None` is all of them.
    fn may_list(
        &self,
        user: &UserInfo,
        plural: &str,
        namespace: Option<&str>,
    ) -> impl Future<Output = Result<bool, kube::Error>> + Send;
}

/// The API server.
impl Reviewer for Client {
    async fn user(&self, token: &str) -> Result<Option<UserInfo>, kube::Error> {
        let spec = TokenReviewSpec { token: token.to_owned(), ..TokenReviewSpec::default() };
        let review = TokenReview { spec, ..TokenReview::default() };
        let answer = Api::<TokenReview>::all(self.clone()).create(&PostParams::default(), &review).await?;
        let status = answer.status.unwrap_or_default();
        Ok(status.user.filter(|_| status.authenticated == Some(true)))
    }

    async fn may_list(&self, user: &UserInfo, plural: &str, namespace: Option<&str>) -> Result<bool, kube::Error> {
        let resource = ResourceAttributes {
            group: Some(azureml_api::GROUP.to_owned()),
            resource: Some(plural.to_owned()),
            verb: Some("list".to_owned()),
            namespace: namespace.map(str::to_owned),
            ..ResourceAttributes::default()
        };
        let spec = SubjectAccessReviewSpec {
            user: user.username.clone(),
            uid: user.uid.clone(),
            groups: user.groups.clone(),
            extra: user.extra.clone(),
            resource_attributes: Some(resource),
            ..SubjectAccessReviewSpec::default()
        };
        let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
        let answer = Api::<SubjectAccessReview>::all(self.clone()).create(&PostParams::default(), &review).await?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    }
}

/// Where rights are asked about.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// The namespaces that the operator watches; none is all.
    pub watched: BTreeSet<String>,
    /// Those that hold objects.
    pub inhabited: BTreeSet<String>,
    /// Those that there are; `None` while they haven't been listed.
    pub all: Option<BTreeSet<String>>,
}

impl Places {
    /// The namespaces to ask about, and the rest, which matter only to somebody who may list in none of the first: nothing
    /// is to be seen there yet. Where somebody could list a moment ago is asked about even if its last object has gone.
    fn asked<'a>(&'a self, before: &'a BTreeSet<String>) -> (Vec<&'a String>, Vec<&'a String>) {
        if !self.watched.is_empty() {
            return (self.watched.iter().collect(), Vec::new());
        }
        let first: Vec<&String> = before.iter().chain(self.inhabited.difference(before)).collect();
        let rest = self.all.iter().flatten().filter(|name| !before.contains(*name) && !self.inhabited.contains(*name));
        (first, rest.collect())
    }

    /// Whether no is the answer for every namespace, once it is for those that were asked about.
    fn are_known(&self) -> bool {
        !self.watched.is_empty() || self.all.is_some()
    }
}

type Verdict = Result<Arc<Access>, Refusal>;

/// What a viewer may see, and since when that is known.
#[derive(Clone, Debug)]
pub struct Reviewed {
    /// What.
    pub access: Arc<Access>,
    /// When the API server was asked; it counts for [`REVIEW_LASTS`] from then on.
    pub asked: Instant,
}

/// Reviews, and those of the last seconds.
pub struct Reviews<R> {
    reviewer: R,
    /// Of this process alone, so that a hash says nothing elsewhere.
    salt: [u8; 16],
    known: Mutex<HashMap<[u8; 32], (Instant, Verdict)>>,
    turns: Semaphore,
}

impl<R: Reviewer> Reviews<R> {
    /// Nothing known yet.
    pub fn new(reviewer: R) -> Self {
        let salt = uuid::Uuid::new_v4().into_bytes();
        Self { reviewer, salt, known: Mutex::default(), turns: Semaphore::new(MOST_AT_A_TIME) }
    }

    /// What the bearer of a token may see; `before` is what they could a moment ago. The places are looked for only when
    /// the API server knows the token.
    ///
    /// # Errors
    /// When it is nothing, or that can't be found out.
    pub async fn access(
        &self,
        token: &str,
        before: Option<&Access>,
        places: impl FnOnce() -> Places + Send,
    ) -> Result<Reviewed, Refusal> {
        let key = self.key(token);
        if let Some(reviewed) = self.known_verdict(&key) {
            return reviewed;
        }
        let turn = async {
            let _turn = self.turns.acquire().await.map_err(|error| Refusal::Unavailable(error.to_string()))?;
            // Somebody else may have asked the same meanwhile.
            if let Some(reviewed) = self.known_verdict(&key) {
                return reviewed;
            }
            let asked = Instant::now();
            let verdict = self.review(token, before, places).await;
            if !matches!(verdict, Err(Refusal::Unavailable(_))) {
                self.keep(key, asked, verdict.clone());
            }
            verdict.map(|access| Reviewed { access, asked })
        };
        let late = || Err(Refusal::Unavailable(format!("no answer within {} s", LONGEST_REVIEW.as_secs())));
        tokio::time::timeout(LONGEST_REVIEW, turn).await.unwrap_or_else(|_| late())
    }

    async fn review(&self, token: &str, before: Option<&Access>, places: impl FnOnce() -> Places + Send) -> Verdict {
        let user = self.reviewer.user(token).await.map_err(unavailable)?.ok_or(Refusal::Unknown)?;
        let (places, mut seen, mut unasked) = (places(), BTreeMap::new(), 0);
        for (kind, plural) in kinds() {
            let before = match before.and_then(|before| before.kinds.get(kind)) {
                Some(Scope::Only(namespaces)) => namespaces.clone(),
                Some(Scope::All) | None => BTreeSet::new(),
            };
            let (scope, left) = self.scope(&user, plural, &before, &places).await.map_err(unavailable)?;
            seen.extend(scope.map(|scope| (kind, scope)));
            unasked = unasked.max(left);
        }
        let name = user.username.unwrap_or_default();
        if seen.is_empty() && unasked == 0 && places.are_known() {
            return Err(Refusal::Forbidden { user: name });
        }
        Ok(Arc::new(Access { user: name, kinds: seen, unasked }))
    }

    /// Where a user may list a kind, and how many namespaces weren't asked about.
    async fn scope(
        &self,
        user: &UserInfo,
        plural: &str,
        before: &BTreeSet<String>,
        places: &Places,
    ) -> Result<(Option<Scope>, usize), kube::Error> {
        // The wide question first: for most it is the only one, and a watched namespace is answered with it.
        if self.reviewer.may_list(user, plural, None).await? {
            return Ok((Some(Scope::All), 0));
        }
        let (first, rest) = places.asked(before);
        let mut allowed = self.allowed(user, plural, first.iter().take(MOST_NAMESPACES)).await?;
        let mut unasked = first.len().saturating_sub(MOST_NAMESPACES);
        if allowed.is_empty() {
            let most = MOST_NAMESPACES.saturating_sub(first.len());
            allowed = self.allowed(user, plural, rest.iter().take(most)).await?;
            unasked += rest.len().saturating_sub(most);
        }
        Ok(((!allowed.is_empty()).then_some(Scope::Only(allowed)), unasked))
    }

    /// Those of some namespaces in which a user may list a kind.
    async fn allowed<'a>(
        &self,
        user: &UserInfo,
        plural: &str,
        namespaces: impl Iterator<Item = &'a &'a String>,
    ) -> Result<BTreeSet<String>, kube::Error> {
        let asked: Vec<_> = namespaces
            .map(|namespace| async move {
                Ok((self.reviewer.may_list(user, plural, Some(namespace)).await?, (*namespace).clone()))
            })
            .collect();
        let answers = stream::iter(asked).buffer_unordered(NAMESPACES_AT_A_TIME);
        answers.try_filter_map(|(may, namespace)| async move { Ok(may.then_some(namespace)) }).try_collect().await
    }

    fn key(&self, token: &str) -> [u8; 32] {
        Sha256::new().chain_update(self.salt).chain_update(token).finalize().into()
    }

    fn known_verdict(&self, key: &[u8; 32]) -> Option<Result<Reviewed, Refusal>> {
        let known = self.lock();
        let (asked, verdict) = known.get(key).filter(|(asked, _)| asked.elapsed() < REVIEW_LASTS)?;
        Some(verdict.clone().map(|access| Reviewed { access, asked: *asked }))
    }

    fn keep(&self, key: [u8; 32], asked: Instant, verdict: Verdict) {
        let mut known = self.lock();
        known.retain(|_, (asked, _)| asked.elapsed() < REVIEW_LASTS);
        if known.len() >= MOST_KNOWN {
            let oldest = known.iter().min_by_key(|(_, (asked, _))| *asked).map(|(key, _)| *key);
            oldest.map(|key| known.remove(&key));
        }
        known.insert(key, (asked, verdict));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], (Instant, Verdict)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The error may hold what was sent, so it is told to the log by its kind alone.
fn unavailable(error: kube::Error) -> Refusal {
    Refusal::Unavailable(match error {
        kube::Error::Api(status) if status.code == 403 => {
            "the operator may not create tokenreviews and subjectaccessreviews, which the chart's page.enabled grants it"
                .to_owned()
        }
        kube::Error::Api(status) => format!("{} {}", status.code, status.reason),
        _ => "no answer".to_owned(),
    })
}

/// The token in an Authorization header.
///
/// # Errors
/// When there is none, or what can be none.
pub fn bearer(header: Option<&str>) -> Result<&str, Refusal> {
    let (scheme, token) = header.and_then(|text| text.split_once(' ')).ok_or(Refusal::NoToken)?;
    let token = token.trim();
    let fits = !token.is_empty() && token.len() <= LONGEST_TOKEN && token.bytes().all(|byte| byte.is_ascii_graphic());
    (scheme.eq_ignore_ascii_case("bearer") && fits).then_some(token).ok_or(Refusal::NoToken)
}

#[cfg(test)]
mod tests;
