//! An instance over time: it comes up, is switched on and off, runs jobs, falls idle, keeps its schedules.

use super::schedules::Timetable;
use crate::{
    clock::{later, parse_duration},
    ml::{cluster, ctx::Settings, networks, physics},
    scope,
    state::{
        Compute, Event, Fate, Instance, InstanceState, JobStatus, LastOperation, Network, Operation, OperationStatus,
        Power, Progress, Provisioning, State, Trigger, Verb,
    },
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// What sets an operation off, and what an injected fault makes of it.
#[derive(Clone, Debug)]
pub struct Cause {
    /// What set it off.
    pub trigger: Trigger,
    /// What is going to become of it.
    pub fate: Fate,
}

/// Which of the scripts an instance has.
pub fn has_script(body: &Value, name: &str) -> bool {
    let script = &body["properties"]["properties"]["setupScripts"]["scripts"][name];
    script["scriptData"].as_str().is_some_and(|data| !data.is_empty())
}

/// How long a creation takes to the machine, and from there to its end.
pub fn creation(settings: &Settings, body: &Value) -> (SignedDuration, SignedDuration) {
    let timings = &settings.world.timings;
    let scripts = has_script(body, "creationScript") || has_script(body, "startupScript");
    (timings.instance_create.0, if scripts { timings.instance_setup.0 } else { SignedDuration::ZERO })
}

/// Begin an operation of an instance; its guid. One that the instance's state doesn't allow fails as an operation.
pub fn begin(settings: &Settings, state: &mut State, id: &str, power: Power, cause: Cause, at: Timestamp) -> String {
    let guid = state.dice.guid();
    let Some(compute) = state.computes.get(id) else { return guid };
    let barred = barred(compute, power);
    let (uid, body) = (compute.meta.uid.clone(), compute.body.clone());
    let timings = &settings.world.timings;
    let machine = match power {
        Power::Stop => timings.instance_stop.0,
        Power::Restart => timings.instance_restart.0,
        Power::Resize => timings.instance_resize.0,
        _ => timings.instance_start.0,
    };
    let sets_up = matches!(power, Power::Start | Power::Restart) && has_script(&body, "startupScript");
    let setup = if sets_up { timings.instance_setup.0 } else { SignedDuration::ZERO };
    let fate = match &barred {
        Some((code, message)) => Fate::Fails { code: code.clone(), message: message.clone() },
        None => cause.fate.clone(),
    };
    let operation = Operation {
        verb: Verb::Power(power),
        resource: id.into(),
        uid,
        subscription: scope::subscription(id).to_ascii_lowercase(),
        location: compute.meta.location.clone(),
        started: at,
        ended: None,
        status: OperationStatus::InProgress,
        fate: fate.clone(),
    };
    if barred.is_some() {
        state.agenda.add(at, Event::Settle { operation: guid.clone() });
    } else {
        let there = later(at, machine);
        if sets_up {
            state.agenda.add(there, Event::SetUp { compute: id.into(), operation: guid.clone() });
        }
        if fate != Fate::NeverEnds {
            state.agenda.add(later(there, setup), Event::Settle { operation: guid.clone() });
        }
        set_out(state, id, power, cause.trigger, &guid, at);
    }
    state.operations.insert(guid.clone(), operation);
    guid
}

/// Why an instance can't do this now, as code and message.
fn barred(compute: &Compute, power: Power) -> Option<(String, String)> {
    let state = compute.instance.as_ref()?.state;
    let (allowed, wanted) = match power {
        Power::Start => (state == InstanceState::Stopped, "Stopped"),
        Power::Resize => (state == InstanceState::Stopped, "Stopped"),
        _ => (state.is_on(), "Running"),
    };
    (!allowed).then(|| {
        let (verb, name) = (power.text(), compute.meta.name());
        (
            format!("{verb}ComputeInstanceOnlyAllowedIn{wanted}State"),
            format!(
                "{verb} Azure ML Compute Instance is only allowed when the instance {name} is in '{}' state",
                wanted.to_ascii_lowercase()
            ),
        )
    })
}

fn set_out(state: &mut State, id: &str, power: Power, trigger: Trigger, guid: &str, at: Timestamp) {
    if power != Power::Start {
        for job in running(state, id) {
            physics::end_job(state, &job, JobStatus::Canceled, at);
        }
    }
    let Some(compute) = state.computes.get_mut(id) else { return };
    compute.operation = Some(guid.into());
    let Some(instance) = &mut compute.instance else { return };
    instance.state = match power {
        Power::Stop => InstanceState::Stopping,
        Power::Restart => InstanceState::Restarting,
        Power::Resize => InstanceState::Resizing,
        _ => InstanceState::Starting,
    };
    instance.last = LastOperation { power, at, progress: Progress::InProgress, trigger };
}

/// Jobs that run on an instance.
fn running(state: &State, id: &str) -> Vec<String> {
    let jobs = format!("{}/jobs", scope::up(id, 2));
    scope::under(&state.jobs, &jobs)
        .filter(|(_, j)| j.compute == id && matches!(j.status, JobStatus::Running | JobStatus::CancelRequested))
        .map(|(key, _)| key.clone())
        .collect()
}

/// The machine is there: its script starts, unless the operation is over.
pub fn set_up(state: &mut State, id: &str, operation: &str) {
    let Some(compute) = state.computes.get_mut(id).filter(|c| c.operation.as_deref() == Some(operation)) else {
        return;
    };
    if let Some(instance) = &mut compute.instance {
        instance.state = InstanceState::SettingUp;
    }
}

fn script_error(state: &State, id: &str, body: &Value, names: &[&str]) -> Option<Value> {
    let said = state.bad_scripts.get(id)?;
    let name = names.iter().find(|name| has_script(body, name))?;
    Some(json!({"error": {
        "code": "SetupScriptsError",
        "message": format!("The setup script of the instance failed ({name}): {said}"),
        "target": null, "details": [], "additionalInfo": [],
    }}))
}

/// The end of a PUT: of a creation, or of a change of what exists.
pub fn end_write(
    settings: &Settings,
    state: &mut State,
    operation: &Operation,
    failure: Option<Value>,
    at: Timestamp,
) -> Option<Value> {
    let id = &operation.resource;
    let compute = state.computes.get(id)?;
    let instance = compute.instance.as_ref()?;
    let creating = matches!(instance.state, InstanceState::Creating | InstanceState::SettingUp);
    let (shape, body, doomed) = (compute.shape(), compute.body.clone(), instance.doomed.clone());
    let scripts = script_error(state, id, &body, &["creationScript", "startupScript"]).filter(|_| creating);
    let failure = failure
        .or_else(|| cluster::unfit(settings, state, id, &shape).filter(|_| creating))
        .or_else(|| Some(doomed).filter(|d| creating && !d.is_null()));
    let compute = state.computes.get_mut(id)?;
    compute.operation = None;
    let before = compute.before.take();
    let machine = failure.is_none();
    let failure = failure.or(scripts);
    compute.state = if failure.is_some() { Provisioning::Failed } else { Provisioning::Succeeded };
    compute.errors = failure.as_ref().map_or(Value::Null, |error| json!([error]));
    compute.provisioned |= machine;
    match (&mut compute.instance, before) {
        (Some(instance), _) if creating => {
            instance.state = match (machine, &failure) {
                (false, _) => InstanceState::CreateFailed,
                (true, Some(_)) => InstanceState::SetupFailed,
                (true, None) => InstanceState::Running,
            };
            finish(instance, &failure, at);
        }
        // A change that failed leaves the instance as it was.
        (_, Some(before)) if failure.is_some() => compute.body = before,
        _ => {}
    }
    if machine {
        networks::bring_up(state, networks::workspace_of(id), Network::Active);
    }
    keep_time(state, id, at);
    physics::look(settings, state, id, at);
    failure
}

fn finish(instance: &mut Instance, failure: &Option<Value>, at: Timestamp) {
    instance.last.progress = if failure.is_some() { Progress::Failed } else { Progress::Succeeded };
    instance.last.at = at;
    instance.errors = failure.as_ref().map_or(Value::Null, |error| json!([error]));
    instance.active_until = at;
}

/// The end of a start, stop, restart or resize.
pub fn end(
    settings: &Settings,
    state: &mut State,
    guid: &str,
    operation: &Operation,
    failure: Option<Value>,
    at: Timestamp,
) -> Option<Value> {
    let Verb::Power(power) = operation.verb else { return failure };
    let id = &operation.resource;
    let mine = |c: &&Compute| c.meta.uid == operation.uid && c.operation.as_deref() == Some(guid);
    // One that never set out, or that a delete overtook.
    let Some(compute) = state.computes.get(id).filter(mine) else { return failure };
    let body = compute.body.clone();
    let came_up = failure.is_none();
    let starts = matches!(power, Power::Start | Power::Restart);
    let failure = failure.or_else(|| script_error(state, id, &body, &["startupScript"]).filter(|_| starts));
    let compute = state.computes.get_mut(id)?;
    compute.operation = None;
    compute.meta.modified = at;
    let Some(instance) = &mut compute.instance else { return failure };
    let resized = instance.resize_to.take();
    instance.state = match (power, came_up) {
        (Power::Start | Power::Restart, true) if failure.is_some() => InstanceState::SetupFailed,
        (Power::Start | Power::Restart, true) | (Power::Stop, false) => InstanceState::Running,
        (Power::Restart, false) => InstanceState::Unusable,
        _ => InstanceState::Stopped,
    };
    finish(instance, &failure, at);
    if let Some(size) = resized.filter(|_| came_up && power == Power::Resize) {
        compute.body["properties"]["properties"]["vmSize"] = json!(size);
    }
    watch_idle(state, id, at);
    physics::look(settings, state, id, at);
    failure
}

/// A delete failed: what exists goes on, in a state that nobody knows if an operation was overtaken.
pub fn stay(settings: &Settings, state: &mut State, id: &str, at: Timestamp) {
    let Some(instance) = state.computes.get_mut(id).and_then(|c| c.instance.as_mut()) else { return };
    if instance.state.is_passing() {
        instance.state = InstanceState::Unknown;
    }
    instance.last = LastOperation { power: Power::Delete, at, progress: Progress::Failed, trigger: Trigger::User };
    keep_time(state, id, at);
    physics::look(settings, state, id, at);
}

/// Start what is queued, as many jobs at a time as the machine has cores.
pub fn look(settings: &Settings, state: &mut State, id: &str, at: Timestamp) {
    let Some(compute) = state.computes.get(id) else { return };
    let Some(instance) = &compute.instance else { return };
    let was = instance.state;
    if !matches!(was, InstanceState::Running | InstanceState::JobRunning) {
        return;
    }
    let shape = compute.shape();
    let cores = settings.size(&shape.region, &shape.size).map_or(1, |s| s.vcpus.max(1));
    let mut busy = running(state, id).len() as i64;
    for (job, _) in physics::queue(state, id).into_iter().filter(|(_, nodes)| *nodes == 1) {
        if busy < cores {
            physics::start_job(state, &job, at);
            busy += 1;
        }
    }
    let Some(instance) = state.computes.get_mut(id).and_then(|c| c.instance.as_mut()) else { return };
    instance.state = if busy > 0 { InstanceState::JobRunning } else { InstanceState::Running };
    if was == InstanceState::JobRunning && busy == 0 {
        instance.active_until = instance.active_until.max(at);
        watch_idle(state, id, at);
    }
}

/// Set the idle clock and the schedules.
pub fn keep_time(state: &mut State, id: &str, at: Timestamp) {
    watch_idle(state, id, at);
    watch_schedules(state, id, at);
}

/// Set the idle clock: it strikes once nobody has used the instance for its idle time.
pub fn watch_idle(state: &mut State, id: &str, at: Timestamp) {
    let Some(compute) = state.computes.get_mut(id) else { return };
    let uid = compute.meta.uid.clone();
    let time = compute.body["properties"]["properties"]["idleTimeBeforeShutdown"].as_str().map(parse_duration);
    let Some(instance) = &mut compute.instance else { return };
    instance.idle_round += 1;
    if let (Some(Ok(time)), InstanceState::Running) = (time, instance.state) {
        let event = Event::Idle { compute: id.into(), uid, round: instance.idle_round };
        state.agenda.add(later(instance.active_until, time).max(at), event);
    }
}

/// The idle clock strikes.
pub fn idle(settings: &Settings, state: &mut State, id: &str, round: u64, at: Timestamp) {
    let Some(compute) = state.computes.get(id) else { return };
    let ripe = |i: &Instance| i.idle_round == round && i.state == InstanceState::Running;
    if !compute.instance.as_ref().is_some_and(ripe) || compute.state == Provisioning::Deleting {
        return;
    }
    if compute.operation.is_some() {
        // A change of its settings is under way: their end sets the clock anew.
        return;
    }
    begin(settings, state, id, Power::Stop, Cause { trigger: Trigger::IdleShutdown, fate: Fate::Normal }, at);
}

/// Enter the next firing of every schedule.
fn watch_schedules(state: &mut State, id: &str, at: Timestamp) {
    let Some(compute) = state.computes.get_mut(id) else { return };
    let schedules = &compute.body["properties"]["properties"]["schedules"]["computeStartStop"];
    let count = schedules.as_array().map_or(0, Vec::len);
    let Some(instance) = &mut compute.instance else { return };
    instance.schedule_round += 1;
    let round = instance.schedule_round;
    for index in 0..count {
        enter(state, id, round, index, at);
    }
}

fn enter(state: &mut State, id: &str, round: u64, index: usize, at: Timestamp) {
    let Some(compute) = state.computes.get(id) else { return };
    let item = &compute.body["properties"]["properties"]["schedules"]["computeStartStop"][index];
    let enabled = item["status"] != "Disabled";
    let next = Timetable::read(item).ok().filter(|_| enabled).and_then(|t| t.next(compute.meta.created, at));
    if let Some(next) = next {
        let uid = compute.meta.uid.clone();
        state.agenda.add(next, Event::Schedule { compute: id.into(), uid, round, index });
    }
}

/// A schedule fires: it does something only where there is something to do.
pub fn scheduled(settings: &Settings, state: &mut State, id: &str, round: u64, index: usize, at: Timestamp) {
    let Some(compute) = state.computes.get(id) else { return };
    let Some(instance) = compute.instance.as_ref().filter(|i| i.schedule_round == round) else { return };
    let item = &compute.body["properties"]["properties"]["schedules"]["computeStartStop"][index];
    let power = if item["action"] == "Start" { Power::Start } else { Power::Stop };
    let fits = match power {
        Power::Start => instance.state == InstanceState::Stopped,
        _ => instance.state.is_on(),
    };
    if fits && compute.operation.is_none() && compute.state.at_rest() {
        begin(settings, state, id, power, Cause { trigger: Trigger::Schedule, fate: Fate::Normal }, at);
    }
    enter(state, id, round, index, at);
}
