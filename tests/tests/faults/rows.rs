//! The rows: every way in which Azure, or what stands before it, fails a request.
//!
//! Two ways are tried elsewhere, since they strike everybody's requests at once: azure-sim's outage, whose answers are those
//! of `unavailable` and `reset` (`bad_days::an_outage_leaves_what_was_known_and_says_that_it_is_old`), and a port where
//! nobody listens (`bad_days::azure_goes_away_and_comes_back`).

use serde_json::{Value, json};

/// One way to fail.
#[derive(Clone, Debug)]
pub struct Fault {
    pub name: &'static str,
    /// As azure-sim takes it.
    pub fault: Value,
    pub felt: Felt,
    /// What the message has of Azure's words.
    pub words: &'static str,
    /// Whether a write that it strikes is done all the same.
    pub effect: Effect,
    /// Which requests it is for.
    pub on: On,
    /// How often it strikes at least before it ends.
    pub strikes: usize,
    /// Where it is tried.
    pub extent: Extent,
}

/// How a request's failure is felt, whatever the request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Felt {
    /// Only later.
    Slow,
    /// Whether it was done isn't known.
    Unclear,
    /// It looks done and isn't.
    Lost,
    /// Azure asks to wait, for at least so many seconds.
    Throttled(f64),
    /// Something else is under way there.
    Conflict,
    /// The manifest is at fault, for this reason.
    Manifest(&'static str),
    /// Something beside the manifest is.
    Waiting(&'static str),
    /// Nobody who knows has answered: a proxy, perhaps. It had no effect.
    Stranger,
    /// Something in the way to the resource isn't there.
    Missing,
    /// The credential is.
    Credential(&'static str),
    /// The operation that a write begins fails.
    Failed,
    /// It doesn't end, until a person takes the cluster away in Azure.
    Endless,
    /// Azure takes a value and keeps its own.
    Kept,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    Nothing,
    Done,
}

/// Which requests a fault is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// Any of Azure Resource Manager's.
    Arm,
    /// Entra's.
    Entra,
    /// Both.
    Both,
    /// Writes only.
    Writes,
    /// Lists of computes only.
    Lists,
    /// Any but lists of everything, for its size.
    Big,
}

/// Where a fault is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// At each step.
    Full,
    /// It is felt as another row: at one step of each family.
    Variant,
}

/// The field that changes at [`super::steps::Step::Patch`], as Azure has it.
pub const MAX_NODES: &str = "properties.properties.scaleSettings.maxNodeCount";

fn row(name: &'static str, fault: Value, felt: Felt, words: &'static str) -> Fault {
    Fault { name, fault, felt, words, effect: Effect::Nothing, on: On::Arm, strikes: 2, extent: Extent::Full }
}

/// An error in Azure's shape.
fn error(name: &'static str, status: u16, code: &'static str, message: &str, felt: Felt) -> Fault {
    row(name, json!({"status": status, "code": code, "message": message}), felt, code)
}

fn done(name: &'static str, fault: Value, felt: Felt, words: &'static str) -> Fault {
    Fault { effect: Effect::Done, strikes: 1, ..row(name, fault, felt, words) }
}

fn once(fault: Fault) -> Fault {
    Fault { strikes: 1, ..fault }
}

fn on(on: On, fault: Fault) -> Fault {
    Fault { on, ..fault }
}

pub fn all() -> Vec<Fault> {
    let mut all = [of_time(), by_azure(), throttled(), garbled(), foreign(), of_writes(), of_entra()].concat();
    for fault in all.iter_mut().filter(|fault| VARIANTS.contains(&fault.name)) {
        fault.extent = Extent::Variant;
    }
    all
}

/// Rows that are felt as another one is.
const VARIANTS: [&str; 26] = [
    "dripping",
    "providers-400",
    "name-taken",
    "linked",
    "disabled",
    "unregistered",
    "no-group",
    "no-parent",
    "timeout",
    "in-progress",
    "capacity",
    "precondition",
    "gateway",
    "unavailable-for",
    "gateway-timeout",
    "arms-429-date",
    "arms-429-fraction",
    "arms-429-soon",
    "arms-429-unsaid",
    "providers-429-date",
    "objects-429-date",
    "objects-429-zero",
    "html-502",
    "half-json",
    "a-list",
    "foreign-location",
];

/// The way there and back. The longest first.
fn of_time() -> Vec<Fault> {
    vec![
        on(On::Both, once(row("hang", json!("hang"), Felt::Unclear, "RequestTimeout"))),
        on(On::Both, done("late", json!({"delay": "70s"}), Felt::Unclear, "RequestTimeout")),
        on(On::Both, row("reset", json!("reset"), Felt::Unclear, "ConnectionFailed")),
        on(On::Both, done("truncated", json!("truncate"), Felt::Unclear, "")),
        on(On::Both, done("slow", json!({"delay": "2s"}), Felt::Slow, "")),
        on(On::Both, done("dripping", json!({"drip": "2s"}), Felt::Slow, "")),
    ]
}

/// Each status and code that Azure gives.
fn by_azure() -> Vec<Fault> {
    let forbidden = "The client 'c' with object id 'o' does not have authorization to perform action 'x/write' over \
                     scope '/s/g' or the scope is invalid.";
    let linked = "The client has permission to perform action 'x/write' on scope '/s/g'; however, it does not have \
                  permission to perform action(s) 'join/action' on the linked scope(s) '/s/net'.";
    let policy = "Resource 'gpu' was disallowed by policy. Policy identifiers: 'p'.";
    let lock = "The scope '/s/g' cannot perform write operation because following scope(s) are locked: '/s/g'.";
    let quota = "Operation could not be completed as it results in exceeding approved quota.";
    let resource = "The Resource 'x' under resource group 'g' was not found.";
    vec![
        error("invalid", 400, "InvalidPropertyValue", "Not so.", Felt::Manifest("RejectedByAzure")),
        on(
            On::Arm,
            row(
                "providers-400",
                json!({"status": 400, "code": "UserError", "message": "Not so.", "origin": "provider"}),
                Felt::Manifest("RejectedByAzure"),
                "UserError",
            ),
        ),
        error("name-taken", 400, "ComputeNameNotAvailable", "Taken.", Felt::Manifest("NameUnavailable")),
        error("unauthorized", 401, "ExpiredAuthenticationToken", "Old.", Felt::Credential("CredentialRejected")),
        error("forbidden", 403, "AuthorizationFailed", forbidden, Felt::Credential("Forbidden")),
        error("linked", 403, "LinkedAuthorizationFailed", linked, Felt::Credential("AccessToLinkedResourceDenied")),
        error("policy", 403, "RequestDisallowedByPolicy", policy, Felt::Manifest("PolicyDenied")),
        error("disabled", 409, "ReadOnlyDisabledSubscription", "Disabled.", Felt::Waiting("Forbidden")),
        error("unregistered", 409, "MissingSubscriptionRegistration", "Not there.", Felt::Waiting("Forbidden")),
        error("no-subscription", 404, "SubscriptionNotFound", "None.", Felt::Credential("SubscriptionNotFound")),
        error("no-group", 404, "ResourceGroupNotFound", "Resource group 'g' could not be found.", Felt::Missing),
        error("no-parent", 404, "ParentResourceNotFound", "The parent could not be found.", Felt::Missing),
        error("no-resource", 404, "ResourceNotFound", resource, Felt::Missing),
        row(
            "nobodys-404",
            json!({"status": 404, "body": "<html>not here</html>", "contentType": "text/html"}),
            Felt::Stranger,
            "Http404",
        ),
        error("timeout", 408, "RequestTimeout", "Too slow.", Felt::Unclear),
        error("conflict", 409, "Conflict", "Busy.", Felt::Conflict),
        error("in-progress", 409, "AnotherOperationInProgress", "Busy.", Felt::Conflict),
        error("locked", 409, "ScopeLocked", lock, Felt::Waiting("ScopeLocked")),
        error("quota", 409, "QuotaExceeded", quota, Felt::Waiting("QuotaExceeded")),
        error("capacity", 409, "SkuNotAvailable", "None left.", Felt::Waiting("CapacityUnavailable")),
        error("precondition", 412, "PreconditionFailed", "Not now.", Felt::Conflict),
        error("internal", 500, "InternalServerError", "Sorry.", Felt::Unclear),
        error("gateway", 502, "BadGateway", "Sorry.", Felt::Unclear),
        error("unavailable", 503, "ServiceUnavailable", "Sorry.", Felt::Unclear),
        row(
            "unavailable-for",
            json!({"status": 503, "code": "ServerBusy", "message": "Sorry.", "retryAfter": 3}),
            Felt::Unclear,
            "ServerBusy",
        ),
        error("gateway-timeout", 504, "GatewayTimeout", "Sorry.", Felt::Unclear),
        error("unheard-of", 418, "Teapot", "Who knows.", Felt::Waiting("OperationFailed")),
    ]
}

/// The three origins of a 429, with Retry-After in each form.
fn throttled() -> Vec<Fault> {
    let arm = |name, wait: Value, least| {
        let mut fault = json!({"status": 429, "code": "SubscriptionRequestsThrottled", "message": "Slow down."});
        if !wait.is_null() {
            fault["retryAfter"] = wait;
        }
        row(name, fault, Felt::Throttled(least), "SubscriptionRequestsThrottled")
    };
    let provider = |name, wait: Value, least| {
        row(name, json!({"rpThrottle": {"retryAfter": wait}}), Felt::Throttled(least), "TooManyRequests")
    };
    let object = |name, wait: Value, least| {
        row(name, json!({"retryableError": {"retryAfter": wait}}), Felt::Throttled(least), "RetryableError")
    };
    vec![
        arm("arms-429", json!(2), 2.0),
        arm("arms-429-date", json!({"dateIn": 3}), 2.0),
        arm("arms-429-fraction", json!("1.5"), 1.5),
        arm("arms-429-soon", json!("soon"), 0.0),
        arm("arms-429-unsaid", Value::Null, 0.0),
        provider("providers-429", json!(2), 2.0),
        provider("providers-429-date", json!({"dateIn": 3}), 2.0),
        object("objects-429", json!(2), 2.0),
        object("objects-429-date", json!({"dateIn": 3}), 2.0),
        object("objects-429-zero", json!(0), 0.0),
    ]
}

/// Answers that aren't Azure's.
fn garbled() -> Vec<Fault> {
    let html = |status: u16| json!({"status": status, "body": "<html>Sign in</html>", "contentType": "text/html"});
    let body = |body: Value| json!({"status": 200, "body": body});
    vec![
        row("html", html(200), Felt::Unclear, "AnswerUnreadable"),
        row("html-502", html(502), Felt::Unclear, "Http502"),
        row("half-json", body(json!("{\"value\": [")), Felt::Unclear, "AnswerUnreadable"),
        row("empty", body(json!("")), Felt::Lost, ""),
        row("empty-object", body(json!({})), Felt::Lost, ""),
        row("a-list", body(json!([1])), Felt::Lost, ""),
        row("somebody-elses", body(json!({"id": "/subscriptions/x", "name": "x", "properties": {}})), Felt::Lost, ""),
        on(
            On::Big,
            once(row(
                "endless",
                json!({"status": 200, "body": "{\"value\": []}", "size": 40_000_000}),
                Felt::Unclear,
                "AnswerUnreadable",
            )),
        ),
    ]
}

/// Links to another host, which would get a token of ours.
fn foreign() -> Vec<Fault> {
    let page = json!({"status": 200, "body": {"value": [], "nextLink": "https://other.example/computes?skip=1"}});
    let accepted = |header: &str| json!({"status": 202, "body": "", "headers": {header: "https://other.example/o"}});
    vec![
        on(On::Lists, row("foreign-page", page, Felt::Unclear, "ForeignUrl")),
        on(On::Writes, row("foreign-operation", accepted("Azure-AsyncOperation"), Felt::Unclear, "ForeignUrl")),
        on(On::Writes, row("foreign-location", accepted("Location"), Felt::Unclear, "ForeignUrl")),
    ]
}

/// What can only become of a write.
fn of_writes() -> Vec<Fault> {
    let fails = json!({"operationFails": {"code": "SomethingBroke", "message": "A disk of ours is full."}});
    [
        done("done-then-500", json!("applyThenFail"), Felt::Unclear, "InternalServerError"),
        done("done-then-reset", json!({"applyThenFail": "reset"}), Felt::Unclear, "ConnectionFailed"),
        done("url-lost", json!("operationUrlLost"), Felt::Slow, ""),
        done("operation-fails", fails, Felt::Failed, "SomethingBroke"),
        done("operation-never-ends", json!("operationNeverEnds"), Felt::Endless, ""),
        done("not-honoured", json!({"notHonoured": {"field": MAX_NODES}}), Felt::Kept, ""),
    ]
    .map(|fault| on(On::Writes, fault))
    .to_vec()
}

/// Entra's own refusals.
fn of_entra() -> Vec<Fault> {
    let refusal = |status: u16, code: u32, error: &str| {
        let description = format!("AADSTS{code}: no.");
        json!({"status": status, "body": {"error": error, "error_description": description, "error_codes": [code]}})
    };
    let rejected = Felt::Credential("CredentialRejected");
    [
        row("expired-secret", refusal(401, 7_000_222, "invalid_client"), rejected, "AADSTS7000222"),
        row("unknown-client", refusal(400, 700_016, "unauthorized_client"), rejected, "AADSTS700016"),
        row("entra-busy", refusal(503, 90_033, "temporarily_unavailable"), Felt::Unclear, "AADSTS90033"),
        row("entra-throttles", refusal(429, 90_055, "temporarily_unavailable"), Felt::Unclear, "AADSTS90055"),
        row("entra-html", json!({"status": 200, "body": "<html>", "contentType": "text/html"}), Felt::Unclear, ""),
    ]
    .map(|fault| on(On::Entra, fault))
    .to_vec()
}
