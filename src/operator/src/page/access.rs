//! Who may look: a bearer token that the API server knows, and whose user may list our kinds there.
//!
//! What a viewer sees is what `kubectl get` would show them. Reviews are kept for a short while, by a keyed hash of the
//! token; the token itself is held by nobody but the stream that it opened.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

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
/// Longest wait for the API server.
const LONGEST_REVIEW: Duration = Duration::from_secs(10);
/// Longest token, in bytes.
const LONGEST_TOKEN: usize = 16 * 1024;

/// Where a viewer may list a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Where, by kind.
    pub kinds: BTreeMap<&'static str, Scope>,
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
}

type Verdict = Result<Arc<Access>, Refusal>;

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

    /// What the bearer of a token may see.
    ///
    /// # Errors
    /// When it is nothing, or that can't be found out.
    pub async fn access(&self, token: &str, places: &Places) -> Verdict {
        let key = self.key(token);
        if let Some(verdict) = self.known_verdict(&key) {
            return verdict;
        }
        let asked = async {
            let _turn = self.turns.acquire().await.map_err(|error| Refusal::Unavailable(error.to_string()))?;
            // Somebody else may have asked the same meanwhile.
            if let Some(verdict) = self.known_verdict(&key) {
                return verdict;
            }
            let began = Instant::now();
            let verdict = self.review(token, places).await;
            if !matches!(verdict, Err(Refusal::Unavailable(_))) {
                self.keep(key, began, verdict.clone());
            }
            verdict
        };
        let late = || Err(Refusal::Unavailable(format!("no answer within {} s", LONGEST_REVIEW.as_secs())));
        tokio::time::timeout(LONGEST_REVIEW, asked).await.unwrap_or_else(|_| late())
    }

    async fn review(&self, token: &str, places: &Places) -> Verdict {
        // The error may hold what was sent, so it is told to the log by its kind alone.
        let unavailable = |error: kube::Error| {
            match error {
            kube::Error::Api(status) if status.code == 403 => Refusal::Unavailable(
                "the operator may not create tokenreviews and subjectaccessreviews, which the chart's page.enabled grants it".to_owned(),
            ),
            kube::Error::Api(status) => Refusal::Unavailable(format!("{} {}", status.code, status.reason)),
            _ => Refusal::Unavailable("no answer".to_owned()),
        }
        };
        let user = self.reviewer.user(token).await.map_err(unavailable)?.ok_or(Refusal::Unknown)?;
        let mut seen = BTreeMap::new();
        for (kind, plural) in kinds() {
            if let Some(scope) = self.scope(&user, plural, places).await.map_err(unavailable)? {
                seen.insert(kind, scope);
            }
        }
        let name = user.username.unwrap_or_default();
        if seen.is_empty() {
            return Err(Refusal::Forbidden { user: name });
        }
        Ok(Arc::new(Access { user: name, kinds: seen }))
    }

    async fn scope(&self, user: &UserInfo, plural: &str, places: &Places) -> Result<Option<Scope>, kube::Error> {
        // The wide question first: for most it is the only one, and a watched namespace is answered with it.
        if self.reviewer.may_list(user, plural, None).await? {
            return Ok(Some(Scope::All));
        }
        let asked = if places.watched.is_empty() { &places.inhabited } else { &places.watched };
        let mut allowed = BTreeSet::new();
        for namespace in asked.iter().take(MOST_NAMESPACES) {
            if self.reviewer.may_list(user, plural, Some(namespace)).await? {
                allowed.insert(namespace.clone());
            }
        }
        Ok((!allowed.is_empty()).then_some(Scope::Only(allowed)))
    }

    fn key(&self, token: &str) -> [u8; 32] {
        Sha256::new().chain_update(self.salt).chain_update(token).finalize().into()
    }

    fn known_verdict(&self, key: &[u8; 32]) -> Option<Verdict> {
        let known = self.lock();
        let (began, verdict) = known.get(key)?;
        (began.elapsed() < REVIEW_LASTS).then(|| verdict.clone())
    }

    fn keep(&self, key: [u8; 32], began: Instant, verdict: Verdict) {
        let mut known = self.lock();
        known.retain(|_, (began, _)| began.elapsed() < REVIEW_LASTS);
        if known.len() >= MOST_KNOWN {
            let oldest = known.iter().min_by_key(|(_, (began, _))| *began).map(|(key, _)| *key);
            oldest.map(|key| known.remove(&key));
        }
        known.insert(key, (began, verdict));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], (Instant, Verdict)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
