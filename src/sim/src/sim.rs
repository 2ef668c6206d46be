//! The whole service as one value: request and time in, answer out.

use crate::{
    admin,
    clock::{Clock, Now},
    dice, entra,
    front::{
        auth,
        faults::{Endpoint, Fault, Faults, Loss},
        governance,
        http::{Answer, Delivery, Request, pairs},
        log::Log,
        refusal::{Origin, Outcome, Refusal},
        roles,
        route::{Regional, Route, Target},
        throttle::{Buckets, Draw, Remaining},
        versions,
    },
    journal::{Act, Entry, Sent},
    ml::{
        computes,
        ctx::{Ctx, Hints, Options, Settings, Throttling},
        jobs, networks, physics, regional, workspaces,
    },
    resources::{groups, operations, top},
    scope,
    state::{Fate, Mark, State},
    world::{Principal, World},
};
use serde_json::json;

/// An Azure.
#[derive(Clone, Debug)]
pub struct Sim {
    /// What doesn't change.
    pub settings: Settings,
    /// What does, and survives a restart.
    pub state: State,
    /// Both times.
    pub clock: Clock,
    /// Injected faults.
    pub faults: Faults,
    /// Every request.
    pub log: Log,
    buckets: Buckets,
    /// What the request at hand needed.
    needs: Vec<roles::Need>,
    journal: Option<Vec<Entry>>,
    answered: u64,
}

impl Sim {
    /// A new Azure of `world`.
    ///
    /// # Errors
    /// What is inconsistent in the world.
    pub fn new(world: World, options: Options, seed: u64, clock: Clock) -> Result<Self, String> {
        let state = State::build(&world, seed, clock.now())?;
        Self::resume(world, options, state, clock)
    }

    /// An Azure that goes on from `state`; of `world` only regions and behaviour count then.
    ///
    /// # Errors
    /// What is inconsistent in the world.
    pub fn resume(world: World, options: Options, state: State, mut clock: Clock) -> Result<Self, String> {
        state.roles.values().try_for_each(roles::RoleDefinition::check)?;
        for principal in state.principals.values() {
            for certificate in &principal.certificates {
                certificate.der().map_err(|e| format!("principal {}: {e}", principal.client_id))?;
            }
            roles::check_assignments(&state, principal)?;
        }
        clock.resume(state.mark.real, state.mark.virt);
        let settings = Settings::new(world, options, clock.scale())?;
        Ok(Self {
            settings,
            state,
            clock,
            faults: Faults::default(),
            log: Log::default(),
            buckets: Buckets::default(),
            needs: Vec::new(),
            journal: None,
            answered: 0,
        })
    }

    /// Keep a journal from now on, to be taken with [`Sim::take_journal`].
    pub fn keep_journal(&mut self) {
        self.journal = Some(Vec::new());
    }

    /// The writes since this was last asked.
    pub fn take_journal(&mut self) -> Vec<Entry> {
        self.journal.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Number a write, and put it into the journal.
    pub(crate) fn record(&mut self, act: Act, now: Now) {
        let mark = Mark { seq: self.state.mark.seq + 1, real: now.real, virt: now.virt };
        self.state.mark = mark;
        if let Some(journal) = &mut self.journal {
            journal.push(Entry { mark, act });
        }
    }

    /// Answer a request.
    pub fn handle(&mut self, req: &Request) -> Answer {
        let now = self.clock.now();
        self.answered += 1;
        self.needs.clear();
        physics::advance(&self.settings, &mut self.state, now.virt);
        if req.path.starts_with("/_sim") {
            // Not logged: tests look at what clients did, not at what they did themselves.
            return admin::serve(self, req, now);
        }
        if !req.secure && !entra::is_managed_identity(&req.path) {
            let refusal = Refusal::arm(403, "SslRequired", "SSL is required: use https for this path.");
            return self.finish(req, refusal.into(), None, now);
        }
        if let Some(answer) = self.entra(req, now) {
            return self.finish(req, answer, None, now);
        }
        let (answer, principal) = self.arm(req, now);
        self.finish(req, answer, principal, now)
    }

    fn finish(&mut self, req: &Request, answer: Answer, principal: Option<String>, now: Now) -> Answer {
        self.log.add(req, &answer, principal, std::mem::take(&mut self.needs), now);
        answer
    }

    fn entra(&mut self, req: &Request, now: Now) -> Option<Answer> {
        let is_token = entra::serves(&req.path);
        let form = String::from_utf8_lossy(&req.body);
        let client = pairs(&form).find(|(key, _)| key == "client_id").map(|(_, id)| id).unwrap_or_default();
        let fault = if is_token { self.faults.strike(req, Endpoint::Token, &client, now) } else { None };
        if let Some(answer) = fault.as_ref().and_then(|f| instead(f, now)) {
            return Some(answer);
        }
        let answer = entra::serve(req, &self.state, &self.settings.world, now)?;
        Some(after(answer, fault.as_ref()))
    }

    /// The front door: who, how often, what, and only then whether it exists.
    fn arm(&mut self, req: &Request, now: Now) -> (Answer, Option<String>) {
        let mut usual = self.usual_headers(req);
        let caller = match auth::authenticate(req, &self.state, &self.settings.world.tokens, now) {
            Ok(caller) => caller,
            Err(refusal) => return (dress(refusal.into(), usual), None),
        };
        let who = Some(caller.client_id.clone());
        let version = req.param("api-version").unwrap_or_default();
        let route = Route::parse(&req.path, &version);
        match self.count(req, route.as_ref().ok(), &caller, now) {
            Ok(remaining) => usual.extend(remaining),
            Err(refusal) => return (dress(refusal.into(), usual), who),
        }
        let fault = self.faults.strike(req, Endpoint::Arm, &caller.client_id, now);
        let provider = route.as_ref().is_ok_and(Route::is_machine_learning);
        let outcome = match fault.as_ref().and_then(|f| instead(f, now)) {
            Some(answer) => {
                if fault.as_ref().is_some_and(Fault::is_providers) {
                    usual.extend(self.provider_headers(route.as_ref().ok(), "error"));
                }
                return (dress(answer, usual), who);
            }
            None => route.and_then(|route| {
                let hints = hints(fault.as_ref());
                let answer = self.serve(req, &route, &version, &caller, &hints, now)?;
                if !matches!(req.method.as_str(), "GET" | "HEAD") {
                    self.record(Act::Arm { caller: caller.client_id.clone(), sent: Sent::of(req), hints }, now);
                }
                Ok((answer, route))
            }),
        };
        let answer = match outcome {
            Ok((answer, route)) => {
                if provider {
                    usual.extend(self.provider_headers(Some(&route), "standard"));
                }
                answer
            }
            Err(refusal) => {
                if refusal.origin == Origin::Provider {
                    usual.extend(self.provider_headers(None, "error"));
                }
                refusal.into()
            }
        };
        (dress(after(answer, fault.as_ref()), usual), who)
    }

    fn usual_headers(&self, req: &Request) -> Vec<(String, String)> {
        let request = dice::guid_for(&format!("request{}", self.answered));
        let correlation = req.header("x-ms-correlation-request-id").map_or_else(|| request.clone(), str::to_string);
        let mut headers = vec![
            ("x-ms-request-id".to_string(), request.clone()),
            ("x-ms-correlation-request-id".into(), correlation),
            ("x-ms-routing-request-id".into(), format!("AZURESIM:20260101T000000Z:{request}")),
            ("Strict-Transport-Security".into(), "max-age=31536000; includeSubDomains".into()),
            ("X-Content-Type-Options".into(), "nosniff".into()),
            ("Cache-Control".into(), "no-cache".into()),
        ];
        if let Some(client) = req.header("x-ms-client-request-id") {
            headers.push(("x-ms-client-request-id".into(), client.into()));
        }
        headers
    }

    fn provider_headers(&self, route: Option<&Route>, kind: &str) -> Vec<(String, String)> {
        let workspace = route.and_then(Route::workspace).map(|w| scope::key(&w)).unwrap_or_default();
        let region = self.state.workspaces.get(&workspace).map_or("westeurope", |w| w.meta.location.as_str());
        let app = dice::guid_for(region);
        vec![
            ("x-aml-cluster".into(), format!("vienna-{region}-01")),
            ("x-request-time".into(), format!("0.{:03}", 20 + self.answered % 80)),
            ("x-ms-response-type".into(), kind.into()),
            ("request-context".into(), format!("appId=cid-v1:{app}")),
        ]
    }

    /// Draw from the buckets; the headers that say what is left.
    fn count(
        &mut self,
        req: &Request,
        route: Option<&Route>,
        caller: &Principal,
        now: Now,
    ) -> Outcome<Vec<(String, String)>> {
        let draw = Draw::of(&req.method);
        let sub = route.map(|r| r.sub.to_ascii_lowercase()).unwrap_or_default();
        let (scope, name) =
            if sub.is_empty() { (caller.tenant.as_str(), "tenant") } else { (sub.as_str(), "subscription") };
        let sizes = &self.settings.world.throttle;
        let remaining = match self.settings.options.throttling {
            Throttling::On => self.buckets.take(sizes, scope, &caller.client_id, draw, now.real)?,
            Throttling::Off => {
                let own = sizes.reads.size as i64 - 1;
                Remaining { own, global: own * sizes.global_factor as i64 }
            }
        };
        let plural = draw.plural();
        Ok(vec![
            (format!("x-ms-ratelimit-remaining-{name}-{plural}"), remaining.own.to_string()),
            (format!("x-ms-ratelimit-remaining-{name}-global-{plural}"), remaining.global.to_string()),
        ])
    }

    /// Carry out a request of somebody who is known.
    ///
    /// # Errors
    /// Whatever ARM or the provider has against it; nothing has changed then.
    pub(crate) fn serve(
        &mut self,
        req: &Request,
        route: &Route,
        version: &str,
        caller: &Principal,
        hints: &Hints,
        now: Now,
    ) -> Outcome {
        if version.is_empty() {
            return Err(Refusal::arm(
                400,
                "MissingApiVersionParameter",
                "The api-version query parameter (?api-version=) is required for all requests.",
            ));
        }
        self.check_subscription(route, caller)?;
        let method = req.method.as_str();
        if !route.verbs().contains(&method) {
            let allowed = route.verbs().join(", ");
            return Err(Refusal::arm(
                405,
                "HttpMethodNotAllowed",
                format!("The HTTP method '{method}' is not supported at scope '{}'. Supported: {allowed}.", req.path),
            )
            .with("Allow", allowed));
        }
        self.authorize(route, method, caller)?;
        if route.is_machine_learning() {
            let regions = self.settings.regions();
            let offered = versions::machine_learning(&self.settings.world, route.kind());
            versions::check_machine_learning(version, &offered, route.kind(), &regions)?;
        } else {
            versions::check_resources(version)?;
        }
        self.check_parents(route, method, now)?;
        governance::check_locks(&self.state.locks, &route.id(), if is_read_action(route) { "GET" } else { method })?;
        let (settings, state, needs) = (&self.settings, &mut self.state, &mut self.needs);
        dispatch(&mut Ctx { settings, state, needs, now, req, route, caller, version, hints })
    }

    fn check_subscription(&self, route: &Route, caller: &Principal) -> Outcome<()> {
        if route.sub.is_empty() {
            return Ok(());
        }
        let known = self.state.subscriptions.get(&route.sub.to_ascii_lowercase());
        let Some(sub) = known else {
            let guid = route.sub.len() == 36 && route.sub.split('-').map(str::len).eq([8, 4, 4, 4, 12]);
            return Err(if guid {
                top::no_subscription(&route.sub)
            } else {
                Refusal::arm(
                    400,
                    "InvalidSubscriptionId",
                    format!("The provided subscription identifier '{}' is malformed or invalid.", route.sub),
                )
            });
        };
        if sub.tenant.eq_ignore_ascii_case(&caller.tenant) {
            return Ok(());
        }
        Err(Refusal::arm(
            401,
            "InvalidAuthenticationTokenTenant",
            format!(
                "The access token is from the wrong issuer 'https://sts.windows.net/{}/'. It must match the tenant \
                 'https://sts.windows.net/{}/' associated with this subscription.",
                caller.tenant, sub.tenant
            ),
        ))
    }

    /// Rights come before existence: who may not read learns nothing.
    fn authorize(&mut self, route: &Route, method: &str, caller: &Principal) -> Outcome<()> {
        let subscription = format!("/subscriptions/{}", route.sub.to_ascii_lowercase());
        let rights = roles::Rights::of(&self.state, caller);
        match &route.target {
            Target::Subscriptions | Target::Provider(_) => Ok(()),
            // These lists show what the caller may see, if it may see anything there.
            Target::Groups if rights.reach(&subscription) => Ok(()),
            Target::Workspaces if route.group.is_empty() && rights.reach(&subscription) => Ok(()),
            _ => {
                let need = rights.need(&route.action(method), &route.id());
                self.needs.push(need.clone());
                roles::require(caller, &need)
            }
        }
    }

    fn check_parents(&self, route: &Route, method: &str, now: Now) -> Outcome<()> {
        if route.group.is_empty() || route.target == Target::Group {
            return Ok(());
        }
        let group = self.state.groups.get(&scope::key(&scope::group_id(&route.sub, &route.group)));
        let Some(group) = group else { return Err(Refusal::no_group(&route.group)) };
        if group.state == crate::state::Provisioning::Deleting && matches!(method, "PUT" | "PATCH") {
            return Err(Refusal::arm(
                409,
                "ResourceGroupBeingDeleted",
                format!(
                    "The resource group '{}' is in deprovisioning state and cannot perform this operation.",
                    route.group
                ),
            ));
        }
        let parent = match &route.target {
            Target::Workspaces | Target::Workspace(_) | Target::WorkspaceAction(..) => return Ok(()),
            _ => route.workspace().unwrap_or_default(),
        };
        let found = self.state.workspaces.get(&scope::key(&parent)).filter(|w| !w.meta.unborn(now.virt));
        if found.is_some() {
            return Ok(());
        }
        if method == "GET"
            && matches!(route.target, Target::Computes(_) | Target::Jobs(_) | Target::Compute(..) | Target::Job(..))
        {
            return Err(Refusal::not_found("workspaces", scope::leaf(&parent), &route.group));
        }
        let verb = if method == "DELETE" { "delete" } else { "write" };
        Err(Refusal::arm(
            404,
            "ParentResourceNotFound",
            format!(
                "Failed to perform '{verb}' on resource(s) of type '{}', because the parent resource '{parent}' could \
                 not be found.",
                route.kind()
            ),
        ))
    }
}

/// POSTs that change nothing pass a read-only lock here; Azure holds up some of them too (listKeys), others not.
fn is_read_action(route: &Route) -> bool {
    matches!(&route.target, Target::ComputeAction(_, _, action) if action == "listNodes")
}

fn dispatch(ctx: &mut Ctx<'_>) -> Outcome {
    let route = ctx.route;
    match (&route.target, ctx.req.method.as_str()) {
        (Target::Subscriptions, _) => Ok(top::subscriptions(ctx)),
        (Target::Subscription, _) => top::subscription_get(ctx),
        (Target::Provider(namespace), _) => top::provider(ctx, namespace),
        (Target::Groups, _) => groups::list(ctx),
        (Target::Group, "PUT") => groups::put(ctx),
        (Target::Group, "PATCH") => groups::patch(ctx),
        (Target::Group, "DELETE") => groups::delete(ctx),
        (Target::Group, _) => groups::get(ctx),
        (Target::GroupOperation(token), _) => operations::group_result(ctx, token),
        (Target::Workspaces, _) => workspaces::list(ctx),
        (Target::Workspace(_), "PUT") => workspaces::put(ctx),
        (Target::Workspace(_), "PATCH") => workspaces::patch(ctx),
        (Target::Workspace(_), "DELETE") => workspaces::delete(ctx),
        (Target::Workspace(_), _) => workspaces::get(ctx),
        (Target::WorkspaceAction(_, action), _) if action == "provisionManagedNetwork" => networks::provision(ctx),
        (Target::WorkspaceAction(..), _) => workspaces::list_keys(ctx),
        (Target::Computes(_), _) => computes::list(ctx),
        (Target::Compute(..), "PUT") => computes::put(ctx),
        (Target::Compute(..), "PATCH") => computes::patch(ctx),
        (Target::Compute(..), "DELETE") => computes::delete(ctx),
        (Target::Compute(..), _) => computes::get(ctx),
        (Target::ComputeAction(_, _, action), _) => computes::action(ctx, action),
        (Target::Jobs(_), _) => jobs::list(ctx),
        (Target::Job(..), "PUT") => jobs::put(ctx),
        (Target::Job(..), "DELETE") => jobs::delete(ctx),
        (Target::Job(..), _) => jobs::get(ctx),
        (Target::JobAction(..), _) => jobs::cancel(ctx),
        (Target::Location(region, Regional::Usages), _) => regional::usages(ctx, region),
        (Target::Location(region, Regional::VmSizes), _) => regional::vm_sizes(ctx, region),
        (Target::Location(region, Regional::Quotas), _) => regional::quotas(ctx, region),
        (Target::Location(region, Regional::UpdateQuotas), _) => regional::update_quotas(ctx, region),
        (Target::Operation(..), _) => operations::get(ctx),
    }
}

fn hints(fault: Option<&Fault>) -> Hints {
    let mut hints = Hints::default();
    match fault {
        Some(Fault::OperationFails { code, message }) => {
            hints.fate = Fate::Fails { code: code.clone(), message: message.clone() };
        }
        Some(Fault::OperationNeverEnds) => hints.fate = Fate::NeverEnds,
        Some(Fault::NotHonoured(field)) => hints.not_honoured = Some(field.clone()),
        _ => {}
    }
    hints
}

/// The answer that a fault gives instead of anything being done.
fn instead(fault: &Fault, now: Now) -> Option<Answer> {
    match fault {
        Fault::Reset => Some(Answer { delivery: Delivery::Reset, ..Answer::empty(0) }),
        Fault::Hang => Some(Answer { delivery: Delivery::Never, ..Answer::empty(0) }),
        other => other.refusal(now).map(|refusal| match other.text() {
            Some(text) => Answer { body: serde_json::Value::Null, text: Some(text), ..Answer::from(refusal) },
            None => Answer::from(refusal),
        }),
    }
}

/// What a fault does to an answer that was given.
fn after(mut answer: Answer, fault: Option<&Fault>) -> Answer {
    match fault {
        Some(Fault::Truncate) => answer.delivery = Delivery::Truncated,
        Some(Fault::Delay(by)) => answer.delivery = Delivery::Delayed(by.unsigned_abs()),
        Some(Fault::Drip(over)) => answer.delivery = Delivery::Dripping(over.unsigned_abs()),
        Some(Fault::ApplyThenFail(Loss::Reset)) => answer.delivery = Delivery::Reset,
        Some(Fault::ApplyThenFail(Loss::Status)) => {
            answer = Answer::json(
                500,
                json!({"error": {"code": "InternalServerError", "message": "Encountered internal server error."}}),
            );
        }
        Some(Fault::OperationUrlLost) => answer.headers.retain(|(name, _)| {
            !name.eq_ignore_ascii_case("Azure-AsyncOperation") && !name.eq_ignore_ascii_case("Location")
        }),
        _ => {}
    }
    answer
}

/// Put the usual headers on, without covering the answer's own.
fn dress(mut answer: Answer, usual: Vec<(String, String)>) -> Answer {
    for (name, value) in usual {
        if answer.header(&name).is_none() {
            answer.headers.push((name, value));
        }
    }
    answer
}
