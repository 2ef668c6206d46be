//! Time passes: nodes come and go, jobs run, operations end. One event after another, each at its own instant, so the
//! outcome doesn't depend on how often anybody looks.

use super::{canonical::Shape, cluster, ctx::Settings, instance::power, settle};
use crate::{
    clock::{later, seconds},
    state::{Compute, Event, Fleet, JobStatus, Node, NodeState, Provisioning, State},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// Let everything happen that is due by `to`; the number of events.
pub fn advance(settings: &Settings, state: &mut State, to: Timestamp) -> usize {
    let mut happened = 0;
    while let Some((at, event)) = state.agenda.due(to) {
        happen(settings, state, event, at);
        happened += 1;
    }
    happened
}

fn happen(settings: &Settings, state: &mut State, event: Event, at: Timestamp) {
    match event {
        Event::Settle { operation } => settle::settle(settings, state, &operation, at),
        Event::Node { compute, uid, number, since } => {
            if is(state, &compute, &uid) {
                step_node(settings, state, &compute, number, since, at);
                look(settings, state, &compute, at);
            }
        }
        Event::Preempt { compute, uid, number } => {
            if is(state, &compute, &uid) {
                preempt(settings, state, &compute, number, at);
                look(settings, state, &compute, at);
            }
        }
        Event::Look { compute, uid } => {
            if is(state, &compute, &uid) {
                if let Some(c) = state.computes.get_mut(&compute) {
                    c.fleet.look_at = None;
                }
                look(settings, state, &compute, at);
            }
        }
        Event::SetUp { compute, operation } => power::set_up(state, &compute, &operation),
        Event::Idle { compute, uid, round } => {
            if is(state, &compute, &uid) {
                power::idle(settings, state, &compute, round, at);
            }
        }
        Event::Schedule { compute, uid, round, index } => {
            if is(state, &compute, &uid) {
                power::scheduled(settings, state, &compute, round, index, at);
            }
        }
        Event::Job { job, uid, step } => {
            if state.jobs.get(&job).is_some_and(|j| j.meta.uid == uid && j.step == step) {
                step_job(settings, state, &job, at);
            }
        }
    }
}

fn is(state: &State, compute: &str, uid: &str) -> bool {
    state.computes.get(compute).is_some_and(|c| c.meta.uid == uid)
}

/// A fleet with no nodes.
pub fn no_nodes(at: Timestamp) -> Fleet {
    Fleet { resizing: false, since: at, target: 0, nodes: Vec::new(), errors: Value::Null, look_at: None, made: 0 }
}

/// `currentNodeCount`: nodes that are assigned, starting and leaving ones included.
pub fn assigned(fleet: &Fleet) -> i64 {
    let there = |n: &&Node| !matches!(n.state, NodeState::Wanted | NodeState::Preempted);
    fleet.nodes.iter().filter(there).count() as i64
}

fn step_node(settings: &Settings, state: &mut State, id: &str, number: u64, since: Timestamp, at: Timestamp) {
    let Some(compute) = state.computes.get_mut(id) else { return };
    let Some(node) = compute.fleet.nodes.iter().find(|n| n.number == number && n.since == since) else { return };
    match node.state {
        NodeState::Wanted => turn(settings, state, id, number, NodeState::Preparing, at),
        NodeState::Preparing => turn(settings, state, id, number, NodeState::Idle, at),
        NodeState::Leaving | NodeState::Preempted => compute.fleet.nodes.retain(|n| n.number != number),
        NodeState::Idle | NodeState::Running | NodeState::Unusable => {}
    }
}

/// Put a node into a state and enter its next step.
fn turn(settings: &Settings, state: &mut State, id: &str, number: u64, to: NodeState, at: Timestamp) {
    let Some(compute) = state.computes.get_mut(id) else { return };
    let (uid, low_priority) = (compute.meta.uid.clone(), compute.shape().low_priority);
    let Some(node) = compute.fleet.nodes.iter_mut().find(|n| n.number == number) else { return };
    (node.state, node.since) = (to, at);
    if to != NodeState::Running {
        node.job = None;
    }
    let timings = &settings.world.timings;
    let lasts = match to {
        NodeState::Wanted => Some(timings.resize.0),
        NodeState::Preparing => Some(timings.node_start.0),
        NodeState::Leaving => Some(timings.node_leave.0),
        NodeState::Preempted => Some(timings.preempted.0),
        NodeState::Idle | NodeState::Running | NodeState::Unusable => None,
    };
    let compute = id.to_string();
    if let Some(lasts) = lasts {
        let next = Event::Node { compute: compute.clone(), uid: uid.clone(), number, since: at };
        state.agenda.add(later(at, lasts), next);
    }
    let rate = settings.world.preemption.per_node_hour;
    if to == NodeState::Preparing && low_priority && rate > 0.0 {
        // Losses without memory: the time to the next is exponential.
        let wait = -(1.0 - state.dice.unit()).ln() / rate * 3600.0;
        state.agenda.add(later(at, seconds(wait)), Event::Preempt { compute, uid, number });
    }
}

/// Lose a node: its job goes back into the queue, the job's other nodes are free again.
pub fn preempt(settings: &Settings, state: &mut State, id: &str, number: u64, at: Timestamp) {
    let Some(compute) = state.computes.get(id) else { return };
    let alive = |n: &&Node| n.number == number && !matches!(n.state, NodeState::Leaving | NodeState::Preempted);
    let Some(node) = compute.fleet.nodes.iter().find(alive) else { return };
    if let Some(key) = node.job.clone() {
        free_nodes(state, id, &key, at);
        if let Some(job) = state.jobs.get_mut(&key) {
            job.status = JobStatus::Queued;
            job.step += 1;
        }
    }
    turn(settings, state, id, number, NodeState::Preempted, at);
}

/// Make a node unusable: its job goes back into the queue. It stays until the cluster has a node too many.
pub fn spoil(settings: &Settings, state: &mut State, id: &str, number: u64, at: Timestamp) {
    let Some(compute) = state.computes.get(id) else { return };
    let Some(node) = compute.fleet.nodes.iter().find(|n| n.number == number) else { return };
    if let Some(key) = node.job.clone() {
        free_nodes(state, id, &key, at);
        if let Some(job) = state.jobs.get_mut(&key) {
            job.status = JobStatus::Queued;
            job.step += 1;
        }
    }
    turn(settings, state, id, number, NodeState::Unusable, at);
}

/// Give back the nodes that run `job`.
fn free_nodes(state: &mut State, id: &str, job: &str, at: Timestamp) {
    let Some(compute) = state.computes.get_mut(id) else { return };
    for node in compute.fleet.nodes.iter_mut().filter(|n| n.job.as_deref() == Some(job)) {
        (node.state, node.since, node.job) = (NodeState::Idle, at, None);
    }
}

/// What a look at a cluster decides.
struct Decision {
    /// Jobs that start, with the nodes they get.
    start: Vec<(String, Vec<u64>)>,
    /// Nodes to ask for.
    grow: i64,
    /// Nodes wanted for which there is no room.
    missing: i64,
    /// Nodes to give back.
    leave: Vec<u64>,
    /// `targetNodeCount`.
    target: i64,
    /// When to look again though nothing else happens.
    again: Option<Timestamp>,
}

/// Compare what a compute has with what its settings and its queue ask for, and act.
pub fn look(settings: &Settings, state: &mut State, id: &str, at: Timestamp) {
    let Some(compute) = state.computes.get(id) else { return };
    if !compute.provisioned || compute.state == Provisioning::Deleting {
        return;
    }
    if compute.instance.is_some() {
        return power::look(settings, state, id, at);
    }
    let shape = compute.shape();
    let queue = queue(state, id);
    let room = cluster::room(settings, state, id, &shape);
    let decision = decide(compute, &shape, &queue, room, settings.world.timings.quota_retry.0, at);
    for (job, nodes) in &decision.start {
        for number in nodes {
            turn(settings, state, id, *number, NodeState::Running, at);
            if let Some(c) = state.computes.get_mut(id)
                && let Some(node) = c.fleet.nodes.iter_mut().find(|n| n.number == *number)
            {
                node.job = Some(job.clone());
            }
        }
        start_job(state, job, at);
    }
    for number in &decision.leave {
        let wanted = state.computes.get_mut(id).is_some_and(|c| {
            let before = c.fleet.nodes.len();
            c.fleet.nodes.retain(|n| n.number != *number || n.state != NodeState::Wanted);
            before != c.fleet.nodes.len()
        });
        if !wanted {
            turn(settings, state, id, *number, NodeState::Leaving, at);
        }
    }
    for _ in 0..decision.grow {
        if let Some(c) = state.computes.get_mut(id) {
            c.fleet.made += 1;
            let number = c.fleet.made;
            c.fleet.nodes.push(Node { number, state: NodeState::Wanted, since: at, job: None });
            turn(settings, state, id, number, NodeState::Wanted, at);
        }
    }
    record(settings, state, id, &shape, &decision, at);
}

fn record(settings: &Settings, state: &mut State, id: &str, shape: &Shape, decision: &Decision, at: Timestamp) {
    let Some(compute) = state.computes.get_mut(id) else { return };
    let fleet = &mut compute.fleet;
    fleet.target = decision.target;
    let spoilt = fleet.nodes.iter().filter(|n| n.state == NodeState::Unusable).count();
    fleet.errors = match (decision.missing, spoilt) {
        (0, 0) => Value::Null,
        (0, _) => cluster::spoilt(spoilt),
        _ => cluster::starved(settings, shape, decision.missing),
    };
    let resizing = assigned(fleet) != fleet.target;
    if resizing != fleet.resizing {
        (fleet.resizing, fleet.since) = (resizing, at);
    }
    if let Some(again) = decision.again
        && fleet.look_at.is_none_or(|entered| again < entered)
    {
        fleet.look_at = Some(again);
        let event = Event::Look { compute: id.into(), uid: compute.meta.uid.clone() };
        state.agenda.add(again, event);
    }
}

/// Queued jobs of a compute in their order: key and number of nodes.
pub fn queue(state: &State, id: &str) -> Vec<(String, i64)> {
    let jobs = format!("{}/jobs", crate::scope::up(id, 2));
    let mut queued: Vec<_> = crate::scope::under(&state.jobs, &jobs)
        .filter(|(_, j)| j.compute == id && j.status == JobStatus::Queued)
        .map(|(key, j)| (j.order, key.clone(), j.instances))
        .collect();
    queued.sort();
    queued.into_iter().map(|(_, key, n)| (key, n)).collect()
}

fn decide(
    compute: &Compute,
    shape: &Shape,
    queue: &[(String, i64)],
    room: i64,
    retry: SignedDuration,
    at: Timestamp,
) -> Decision {
    let nodes = &compute.fleet.nodes;
    let of = |wanted: NodeState| nodes.iter().filter(move |n| n.state == wanted);
    let mut idle: Vec<&Node> = of(NodeState::Idle).collect();
    let mut start = Vec::new();
    let mut waiting = 0;
    let mut blocked = false;
    for (job, n) in queue.iter().filter(|(_, n)| *n <= shape.max) {
        // First come, first served: a job that doesn't fit yet holds those behind it.
        if !blocked && *n <= idle.len() as i64 {
            start.push((job.clone(), idle.drain(..*n as usize).map(|n| n.number).collect::<Vec<_>>()));
        } else {
            blocked = true;
            waiting += n;
        }
    }
    let busy = of(NodeState::Running).count() as i64 + start.iter().map(|(_, n)| n.len() as i64).sum::<i64>();
    let desired = (busy + waiting).max(shape.min).min(shape.max).max(busy);
    let coming = of(NodeState::Wanted).count() + of(NodeState::Preparing).count();
    let spoilt = of(NodeState::Unusable).count();
    let active = busy + idle.len() as i64 + (coming + spoilt) as i64;
    let grow = (desired - active).clamp(0, room);
    let missing = (desired - active - grow).max(0);
    let mut leave: Vec<u64> = Vec::new();
    let mut surplus = active - desired;
    let over_max = active - shape.max;
    let ripe = |n: &Node| later(n.since, shape.idle) <= at;
    // Nodes only asked for go first, then idle ones: at once above the maximum, else when their time has come.
    let candidates = of(NodeState::Unusable)
        .chain(of(NodeState::Wanted))
        .chain(idle.iter().copied().filter(|n| ripe(n)))
        .chain(idle.iter().copied().filter(|n| !ripe(n)))
        .chain(of(NodeState::Preparing));
    for node in candidates {
        let free = match node.state {
            NodeState::Wanted | NodeState::Unusable => surplus > 0,
            NodeState::Idle => surplus > 0 && (ripe(node) || (leave.len() as i64) < over_max),
            _ => surplus > 0 && (leave.len() as i64) < over_max,
        };
        if free {
            leave.push(node.number);
            surplus -= 1;
        }
    }
    let target = (active - leave.len() as i64).max(desired);
    let next_ripe =
        idle.iter().filter(|n| surplus > 0 && !leave.contains(&n.number)).map(|n| later(n.since, shape.idle));
    let again = next_ripe.chain((missing > 0).then(|| later(at, retry))).min();
    Decision { start, grow, missing, leave, target, again }
}

/// Start a job that has what it needs.
pub fn start_job(state: &mut State, key: &str, at: Timestamp) {
    let Some(job) = state.jobs.get_mut(key) else { return };
    job.status = JobStatus::Running;
    job.started = Some(at);
    job.step += 1;
    let event = Event::Job { job: key.into(), uid: job.meta.uid.clone(), step: job.step };
    state.agenda.add(later(at, SignedDuration::from_secs(job.seconds)), event);
}

fn step_job(settings: &Settings, state: &mut State, key: &str, at: Timestamp) {
    let Some(job) = state.jobs.get_mut(key) else { return };
    let compute = job.compute.clone();
    match job.status {
        JobStatus::NotStarted => {
            job.status = JobStatus::Queued;
            job.step += 1;
            if compute.is_empty() {
                // Serverless: the service finds nodes of its own.
                start_job(state, key, at);
            }
        }
        JobStatus::Running => {
            let outcome = job.outcome;
            end_job(state, key, outcome, at);
        }
        JobStatus::CancelRequested => end_job(state, key, JobStatus::Canceled, at),
        _ => return,
    }
    look(settings, state, &compute, at);
}

/// End a job and free its nodes.
pub fn end_job(state: &mut State, key: &str, status: JobStatus, at: Timestamp) {
    let Some(job) = state.jobs.get_mut(key) else { return };
    if job.status.over() {
        return;
    }
    job.status = status;
    job.ended = Some(at);
    job.step += 1;
    let compute = job.compute.clone();
    free_nodes(state, &compute, key, at);
}

/// Send all nodes of a cluster away and cancel its jobs: it is being deleted.
pub fn dissolve(settings: &Settings, state: &mut State, id: &str, at: Timestamp) {
    let jobs = format!("{}/jobs", crate::scope::up(id, 2));
    let mine: Vec<String> =
        crate::scope::under(&state.jobs, &jobs).filter(|(_, j)| j.compute == id).map(|(key, _)| key.clone()).collect();
    for key in mine {
        end_job(state, &key, JobStatus::Canceled, at);
    }
    let Some(compute) = state.computes.get_mut(id) else { return };
    compute.fleet.nodes.retain(|n| n.state != NodeState::Wanted);
    compute.fleet.target = 0;
    compute.fleet.resizing = !compute.fleet.nodes.is_empty();
    let gone = |n: &&Node| !matches!(n.state, NodeState::Leaving | NodeState::Preempted);
    let leaving: Vec<u64> = compute.fleet.nodes.iter().filter(gone).map(|n| n.number).collect();
    for number in leaving {
        turn(settings, state, id, number, NodeState::Leaving, at);
    }
}
