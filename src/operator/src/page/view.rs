//! What the page shows, from what is known: pure.
//!
//! Fields are named one by one, so that nothing gets here by being in a status: operation URLs, which are signed, don't.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use azureml_api::condition::Reason;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::index::{Key, Object, WORKSPACE};
use crate::page::history::Point;

/// Objects that are shown at most; what is wrong goes first.
pub const MOST_ROWS: usize = 1000;

/// How an object stands, for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// Nothing goes on until a person does something.
    Stalled,
    /// A plan waits for its approval.
    Approval,
    /// Something is wrong; it is tried again by itself.
    Retrying,
    /// It works, and Azure isn't as the manifest says.
    Differs,
    /// It works, and for want of a right something is told late or less precisely.
    Limited,
    /// Azure or the operator is at work.
    Working,
    /// It is told to be left alone.
    Paused,
    /// As the manifest says.
    Ready,
}

impl State {
    /// Whether a person should look at it.
    pub fn is_wrong(self) -> bool {
        matches!(self, Self::Stalled | Self::Approval | Self::Retrying | Self::Differs | Self::Limited)
    }
}

/// What is wrong with an object, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The condition that tells it.
    pub condition: String,
    /// Its reason.
    pub reason: String,
    /// Its message.
    pub message: String,
    /// Since when, in seconds of Unix time.
    pub since: i64,
    /// What the reason means; nothing for one of another release.
    pub cause: &'static str,
    /// What a person does about it.
    pub cure: &'static str,
}

/// A write to Azure that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Operation {
    /// What is done.
    pub verb: String,
    /// How far it is known to be.
    pub phase: String,
    /// Since when, in seconds of Unix time.
    pub since: Option<i64>,
}

/// An object.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Kind, namespace and name.
    pub id: String,
    /// Kind.
    pub kind: &'static str,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// The Workspace that it belongs to; a Workspace's own.
    pub workspace: String,
    /// How it stands.
    pub state: State,
    /// Reason of its Ready condition.
    pub reason: String,
    /// Message of its Ready condition.
    pub message: String,
    /// Since when Ready stands so, in seconds of Unix time.
    pub since: Option<i64>,
    /// What is wrong.
    pub problem: Option<Problem>,
    /// The write to Azure that is under way.
    pub operation: Option<Operation>,
    /// Where it is in Azure: the resource group and name of a Workspace, the size of a cluster's nodes.
    pub detail: String,
    /// Azure region, of a Workspace.
    pub location: String,
    /// Nodes by what they do.
    pub nodes: BTreeMap<String, i64>,
    /// Least and most nodes.
    pub scale: Option<(i64, i64)>,
    /// Nodes over the last hour.
    pub history: Vec<Point>,
    /// Its page at Azure.
    pub link: Option<String>,
}

/// One of Azure Resource Manager's buckets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Bucket {
    /// Subscription.
    pub subscription: String,
    /// read, write or delete.
    pub operation: &'static str,
    /// Requests that could be sent at once.
    pub left: u64,
    /// Its size.
    pub capacity: u64,
    /// Requests that wait.
    pub waiting: usize,
    /// Whether Azure has asked to slow down.
    pub throttled: bool,
    /// The Workspaces that use it.
    pub workspaces: BTreeSet<String>,
}

/// All but the objects.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Head {
    /// The operator's version.
    pub version: &'static str,
    /// This replica.
    pub replica: String,
    /// Whether it works.
    pub leads: bool,
    /// Who else does.
    pub leader: Option<String>,
    /// Who looks.
    pub user: String,
    /// The namespaces that they see; all without any.
    pub namespaces: Option<BTreeSet<String>>,
    /// Namespaces of which it wasn't asked whether they see them, for being too many.
    pub unasked: usize,
    /// Objects but Workspaces, by how they stand.
    pub counts: BTreeMap<State, usize>,
    /// Objects that aren't shown for being too many.
    pub omitted: usize,
    /// When each Workspace was last seen in Azure, in seconds of Unix time.
    pub seen: BTreeMap<String, i64>,
    /// What is left of Azure's limits.
    pub budgets: Vec<Bucket>,
}

/// Where a cloud's pages are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sites {
    portal: &'static str,
    studio: &'static str,
}

impl Sites {
    /// Those of a cloud, by the host of its Azure Resource Manager. Sources: Azure documentation, "Azure Government
    /// developer guide" and "Azure China developer guide".
    pub fn of(resource_manager: Option<&str>) -> Option<Self> {
        match resource_manager? {
            "management.azure.com" => Some(Self { portal: "portal.azure.com", studio: "ml.azure.com" }),
            "management.usgovcloudapi.net" => Some(Self { portal: "portal.azure.us", studio: "ml.azure.us" }),
            "management.chinacloudapi.cn" => Some(Self { portal: "portal.azure.cn", studio: "studio.ml.azure.cn" }),
            _ => None,
        }
    }

    fn link(&self, kind: &str, id: &str) -> Option<String> {
        // Nothing that somebody wrote into a status leads elsewhere, or adds a parameter.
        let fits = |c: char| c.is_ascii_alphanumeric() || "/-_.()".contains(c);
        if !id.starts_with("/subscriptions/") || !id.chars().all(fits) {
            return None;
        }
        match id.rsplit_once("/computes/") {
            Some((workspace, name)) if kind != WORKSPACE => {
                Some(format!("https://{}/compute/{name}/details?wsid={workspace}", self.studio))
            }
            _ => Some(format!("https://{}/#@/resource{id}", self.portal)),
        }
    }
}

/// The objects as rows, the workspaces' name first, and how many there are by state. Too many are cut, and counted.
pub fn rows(
    objects: &[Arc<Object>],
    history: impl Fn(&Key) -> Vec<Point>,
    sites: Option<Sites>,
) -> (Vec<Row>, BTreeMap<State, usize>, usize) {
    let mut shown: Vec<(State, &Arc<Object>)> = objects.iter().map(|object| (state(object), object)).collect();
    let mut counts = BTreeMap::new();
    for (state, _) in shown.iter().filter(|(_, object)| object.key.kind != WORKSPACE) {
        *counts.entry(*state).or_default() += 1;
    }
    // Workspaces first, then what is wrong.
    shown.sort_by_cached_key(|(state, object)| (object.key.kind != WORKSPACE, *state, object.key.clone()));
    let omitted = shown.len().saturating_sub(MOST_ROWS);
    shown.truncate(MOST_ROWS);
    let mut rows: Vec<Row> = shown.into_iter().map(|(state, object)| row(object, state, &history, sites)).collect();
    rows.sort_by(|a, b| (&a.workspace, &a.id).cmp(&(&b.workspace, &b.id)));
    (rows, counts, omitted)
}

fn row(object: &Object, state: State, history: impl Fn(&Key) -> Vec<Point>, sites: Option<Sites>) -> Row {
    let conditions = object.conditions();
    let ready = find(&conditions, "Ready");
    let told = |take: fn(&Condition) -> &String| ready.map(take).cloned().unwrap_or_default();
    let text = |path: &str| object.raw.data.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let number = |path: &str| object.status().pointer(path).and_then(Value::as_i64);
    let nodes = object.status().get("nodes").and_then(Value::as_object).into_iter().flatten();
    let workspace = if object.key.kind == WORKSPACE { Some(object.key.clone()) } else { object.workspace() };
    let id = text("/status/azure/id");
    Row {
        id: format!("{}/{}/{}", object.key.kind, object.key.namespace, object.key.name),
        kind: object.key.kind,
        namespace: object.key.namespace.clone(),
        name: object.key.name.clone(),
        workspace: workspace.as_ref().map(place).unwrap_or_default(),
        state,
        reason: told(|c| &c.reason),
        message: told(|c| &c.message),
        since: ready.map(|c| c.last_transition_time.0.as_second()),
        problem: state.is_wrong().then(|| problem(&conditions, state)).flatten(),
        operation: operation(object.status()),
        detail: match object.key.kind {
            WORKSPACE => format!("{} / {}", text("/spec/resourceGroup"), object.azure_name()),
            _ => text("/spec/vmSize"),
        },
        location: text("/status/azure/location"),
        nodes: nodes.filter_map(|(name, count)| Some((name.clone(), count.as_i64()?))).collect(),
        scale: number("/effectiveScale/min").zip(number("/effectiveScale/max")),
        history: history(&object.key),
        link: sites.and_then(|sites| sites.link(object.key.kind, &id)),
    }
}

/// A namespace and a name, as the page shows them.
pub fn place(key: &Key) -> String {
    format!("{}/{}", key.namespace, key.name)
}

fn find<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == kind)
}

/// How an object stands. It is asked of every object for each picture, so the conditions are read where they lie.
fn state(object: &Object) -> State {
    let conditions = object.status().get("conditions").and_then(Value::as_array);
    let is_limited =
        || conditions.is_some_and(|all| all.iter().any(|c| c["type"] == "Limited" && c["status"] == "True"));
    match standing(conditions) {
        // It is said where nothing worse is.
        State::Ready | State::Working if is_limited() => State::Limited,
        state => state,
    }
}

/// How an object stands, leaving aside what it may not look at.
fn standing(conditions: Option<&Vec<Value>>) -> State {
    let find = |kind: &str| conditions?.iter().find(|condition| condition.get("type").is_some_and(|told| told == kind));
    let is = |kind: &str, status: &str| find(kind).is_some_and(|condition| condition["status"] == status);
    let reason = |kind: &str| Reason::parse(find(kind)?.get("reason")?.as_str()?);
    if is("Stalled", "True") {
        State::Stalled
    } else if is("AwaitingApproval", "True") {
        State::Approval
    } else if is("Paused", "True") {
        State::Paused
    } else if !is("Ready", "True") {
        if reason("Ready").is_none_or(is_work) { State::Working } else { State::Retrying }
    } else if is("InSync", "True") || find("InSync").is_none() {
        State::Ready
    } else if reason("InSync").is_some_and(is_work) {
        State::Working
    } else if is("InSync", "False") {
        State::Differs
    } else {
        State::Retrying
    }
}

/// Whether a reason is of the usual course of things.
fn is_work(reason: Reason) -> bool {
    use Reason::{Creating, Deleting, Pending, Updating, Verifying, WaitingForAzure, WaitingForBudget};
    matches!(reason, Pending | Creating | Updating | Deleting | WaitingForAzure | WaitingForBudget | Verifying)
}

fn problem(conditions: &[Condition], state: State) -> Option<Problem> {
    let order: &[&str] = match state {
        State::Approval => &["AwaitingApproval"],
        State::Limited => &["Limited"],
        // What stalls it is told there; Ready may tell of the past.
        State::Stalled => &["Stalled", "Ready"],
        _ => &["Ready", "InSync"],
    };
    let wrong =
        |condition: &&Condition| !matches!(condition.type_.as_str(), "Ready" | "InSync") || condition.status != "True";
    let told = order.iter().find_map(|kind| find(conditions, kind).filter(wrong))?;
    let reason = Reason::parse(&told.reason);
    Some(Problem {
        condition: told.type_.clone(),
        reason: told.reason.clone(),
        message: told.message.clone(),
        since: told.last_transition_time.0.as_second(),
        cause: reason.map_or("", Reason::cause),
        cure: reason.map_or("", Reason::cure),
    })
}

fn operation(status: &Value) -> Option<Operation> {
    let operation = status.get("operation")?;
    let text = |member: &str| operation.get(member).and_then(Value::as_str).unwrap_or_default().to_owned();
    let since: Option<Timestamp> = text("startedAt").parse().ok();
    Some(Operation { verb: text("verb"), phase: text("phase"), since: since.map(Timestamp::as_second) })
}

#[cfg(test)]
mod tests;
