//! The world: the API server, Azure, the operator's processes, and people; and all that can happen in it.

use std::collections::HashSet;
use std::sync::Mutex;
use std::time::Duration;

use azureml_operator::reconcile::look::{Effect, Next, ViewAge};
use serde_json::Value;
use stateright::{Model, Property};

use crate::azure::{Answer, Azure, Broken, Lag, Request, Resource, Stand, Whose, WrittenVerb};
use crate::documents::{Care, Manifest};
use crate::mutants::Mutant;
use crate::operator::{Due, Entry, Happened, Minds, Process, Snapshot, Stored, UnderWay};
use crate::setup::{Deed, Fault, Setup};

/// When an object is looked at though nothing changes: ten intervals.
const SLOW: Duration = Duration::from_secs(600);

/// A state of the world.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    /// The object, as the API server has it.
    pub object: Option<Stored>,
    pub azure: Azure,
    /// The operator's processes; none where one has ended for good.
    pub processes: Vec<Option<Process>>,
    /// What people may still do.
    pub deeds: u8,
    /// What may still go wrong.
    pub faults: u8,
    /// A promise that was broken on the way here.
    pub broken: Option<Broken>,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// The watch brings what the API server has.
    Watch(usize),
    /// The list of computes is read.
    List(usize),
    /// A look begins.
    Begin(usize),
    /// A look's effect is carried out.
    GoOn(usize),
    /// The wait after a failure is over.
    WaitOver(usize),
    /// A request arrives.
    Arrive(usize),
    /// Azure ends what it works on.
    Work,
    /// Lists show Azure as it is.
    ListCatchesUp,
    /// Reads show Azure as it is.
    ReadCatchesUp,
    /// The window passes.
    Pass,
    /// The second process takes the lease over, which the first hasn't noticed.
    TakeOver,
    /// The first notices, and exits.
    Exit,
    People(Deed),
    Trouble(Fault, usize),
}

/// The model.
pub struct Checked {
    pub setup: Setup,
    pub minds: Minds,
    /// States from which rest is known to be reached, by hash.
    pub resting: Mutex<HashSet<u64>>,
}

impl Checked {
    pub fn new(setup: Setup, mutant: Mutant) -> Self {
        Self { setup, minds: Minds::new(mutant), resting: Mutex::default() }
    }

    fn mutant(&self) -> Mutant {
        self.minds.mutant
    }

    /// What can always happen, whatever people do and whatever goes wrong.
    pub fn fair_steps(&self, world: &World, steps: &mut Vec<Happening>) {
        for (p, process) in world.processes.iter().enumerate() {
            let Some(process) = process.as_ref().filter(|process| process.leads) else { continue };
            match process.look {
                None if process.due == Due::No => {}
                None => steps.push(Happening::Begin(p)),
                Some(_) if world.is_waiting(p) => {}
                Some(_) => steps.push(Happening::GoOn(p)),
            }
            // Who has lost the lease ends the look that it is in, and begins no other: it notices before the lease runs
            // out.
            if world.is_deposed(p) {
                continue;
            }
            if !process.is_current {
                steps.push(Happening::Watch(p));
            }
            let fresh = Snapshot { counts: true, is_old: false, shows: world.azure.listed() };
            if process.snapshot != Some(fresh) || (process.is_busy && process.due != Due::Soon) {
                steps.push(Happening::List(p));
            }
            if process.failed.is_some_and(|(_, over)| !over) {
                steps.push(Happening::WaitOver(p));
            }
        }
        steps.extend((0..world.azure.on_the_way.len()).map(Happening::Arrive));
        steps.extend([Happening::Work, Happening::ListCatchesUp, Happening::ReadCatchesUp, Happening::Pass]);
        // A first process between two looks has nothing to be behind with: then it is as if it had ended.
        if let [Some(first), Some(second)] = &world.processes[..]
            && (second.leads || first.look.is_some())
        {
            steps.push(if second.leads { Happening::Exit } else { Happening::TakeOver });
        }
    }

    /// What comes of a step; nothing where it can't happen or changes nothing.
    pub fn after(&self, before: &World, step: Happening) -> Option<World> {
        let mut world = before.clone();
        match step {
            Happening::Watch(p) => {
                let object = world.object;
                let process = world.process(p);
                let before = std::mem::replace(&mut process.cached, object);
                process.is_current = true;
                let wakes = self.mutant() != Mutant::WatchWakesNobody;
                match object {
                    None => process.due = Due::No,
                    Some(now) if before.is_none_or(|it| wakes && it.signature() != now.signature()) => {
                        process.due = Due::Soon;
                    }
                    Some(_) => {}
                }
            }
            Happening::List(p) => {
                let shows = world.azure.listed();
                let process = world.process(p);
                let before = process.snapshot.replace(Snapshot { counts: true, is_old: false, shows });
                let wakes = self.mutant() != Mutant::ListWakesNobody;
                let news = before.is_none_or(|before| wakes && (before.shows != shows || process.is_busy));
                if news && process.cached.is_some() {
                    process.due = Due::Soon;
                }
            }
            Happening::Begin(p) => {
                let process = world.process(p);
                let look = self.minds.begin(process)?;
                process.due = Due::No;
                process.look = Some(UnderWay { look, on_current: process.is_current, mistakable: false });
                let absent = process.snapshot.is_some_and(|snapshot| snapshot.counts && snapshot.shows.is_none());
                if self.mutant() == Mutant::ReleaseOnAbsent && absent && process.cached.is_some_and(|it| it.deleting) {
                    let writable = process.is_current;
                    release(&mut world, p, writable);
                }
            }
            Happening::GoOn(p) => self.go_on(&mut world, p),
            Happening::WaitOver(p) => {
                let process = world.process(p);
                process.failed = process.failed.map(|(attempt, _)| (attempt, true));
            }
            Happening::Arrive(i) => self.arrive(&mut world, i, Arrival::Plain),
            Happening::Work => {
                world.azure.work_ends(true);
            }
            Happening::ListCatchesUp => world.azure.list = Lag::None,
            Happening::ReadCatchesUp => world.azure.get = Lag::None,
            Happening::Pass => self.pass(&mut world)?,
            Happening::TakeOver => {
                let process = world.process(1);
                (process.leads, process.is_young) = (true, true);
            }
            Happening::Exit => world.end(0),
            Happening::People(deed) => self.people(&mut world, deed)?,
            Happening::Trouble(fault, which) => self.trouble(&mut world, fault, which)?,
        }
        if world.is_deposed(0) && world.processes[0].as_ref().is_some_and(|first| first.look.is_none()) {
            world.end(0);
        }
        (world != *before).then_some(world)
    }

    /// The window passes. A request never takes as long, from the record of its intent to its arrival: its time limit is
    /// shorter, and a process that stalls longer doesn't send.
    fn pass(&self, world: &mut World) -> Option<()> {
        let sending = |process: &Process| {
            process.look.is_some_and(|look| matches!(self.minds.entry(look.look).effect, Effect::Send { .. }))
        };
        if !world.azure.on_the_way.is_empty() || world.processes.iter().flatten().any(sending) {
            return None;
        }
        world.azure.settle();
        let aged = |stored: &mut Option<Stored>| {
            if let Some(stored) = stored {
                stored.status = self.minds.age_status(stored.status);
            }
        };
        let before = world.object.map(|object| object.status);
        aged(&mut world.object);
        let after = world.object.map(|object| object.status);
        for process in world.processes.iter_mut().flatten() {
            aged(&mut process.cached);
            process.is_young = false;
            process.snapshot = process.snapshot.map(|snapshot| Snapshot { is_old: snapshot.counts, ..snapshot });
            if let Some(look) = &mut process.look {
                let differed = Some(self.minds.entry(look.look).before) != before;
                look.look = self.minds.age(look.look);
                look.mistakable |= differed && Some(self.minds.entry(look.look).before) == after;
            }
        }
        Some(())
    }

    fn go_on(&self, world: &mut World, p: usize) {
        let Some(under_way) = world.process(p).look else { return };
        let entry = self.minds.entry(under_way.look);
        let writable = under_way.on_current || self.mutant() == Mutant::NoConflicts;
        let happened = match &entry.effect {
            Effect::AskOperation if self.mutant() == Mutant::OperationsNeverEnd => {
                Happened::Asked(Some(Stand::Running))
            }
            Effect::AskOperation => {
                let verb = entry.look.status.operation.as_ref().map(|operation| WrittenVerb::from(operation.verb));
                let known = world.azure.operation.filter(|(of, _)| Some(*of) == verb);
                Happened::Asked(known.map(|(_, stand)| stand))
            }
            Effect::ProveGone => match world.azure.read() {
                None => Happened::ProvenGone,
                Some(resource) => Happened::Proven(Some(resource)),
            },
            Effect::ReadFresh if self.mutant() == Mutant::NoFreshRead => {
                Happened::Fresh(world.process(p).snapshot.and_then(|snapshot| snapshot.shows))
            }
            Effect::ReadFresh => Happened::Fresh(world.azure.read()),
            Effect::AddFinalizer => match world.object.filter(|object| writable && !object.deleting) {
                None => return world.process(p).conflicts(),
                Some(object) => {
                    let held = Stored { finalizer: true, ..object };
                    world.store(p, held);
                    Happened::Held(held)
                }
            },
            Effect::RecordIntent => match world.object.filter(|_| writable) {
                None => return world.process(p).conflicts(),
                Some(object) => {
                    if !object.manifest.may_write() {
                        world.broken = Some("nothing is written when paused or only observing");
                    }
                    let mut intended = Stored { status: entry.status, ..object };
                    if self.mutant() == Mutant::NoIntent {
                        intended.status = object.status;
                    }
                    world.store(p, intended);
                    Happened::Recorded(intended)
                }
            },
            Effect::Send { verb, .. } => {
                let request = Request { from: Some(p), verb: (*verb).into(), body: entry.body };
                world.process(p).is_busy = true;
                return world.azure.on_the_way.push(request);
            }
            Effect::Report(report) => {
                if report.next == Next::OnChange {
                    world.broken = Some("a look always leads to another");
                }
                let mutant = self.mutant() == Mutant::ContradictionsRest && report.view == ViewAge::Behind;
                let rests = mutant || report.next == Next::After(SLOW);
                return self.report(world, p, &entry, if rests { Due::Slow } else { Due::Soon });
            }
            Effect::Release => return release(world, p, writable),
            other => unreachable!("{other:?} doesn't reach the world"),
        };
        self.happen(world, p, happened);
    }

    fn happen(&self, world: &mut World, p: usize, happened: Happened) {
        if let Some(look) = &mut world.process(p).look {
            look.look = self.minds.go_on(look.look, happened);
        }
    }

    /// The status is written on the object that was looked at, or on one whose status nobody else has touched since.
    fn report(&self, world: &mut World, p: usize, entry: &Entry, next: Due) {
        let Some(under_way) = world.process(p).look.take() else { return };
        let attempt = self.minds.attempt(entry);
        let process = world.process(p);
        process.failed = attempt;
        process.is_busy = entry.look.status.operation.is_some();
        if entry.status == entry.before {
            return process.wake(next);
        }
        let uid = entry.look.owner.uid.clone();
        let Some(object) = world.object.filter(|object| format!("u{}", object.uid) == uid) else {
            return world.process(p).conflicts();
        };
        let writable = under_way.on_current || self.mutant() == Mutant::NoConflicts;
        let untouched = object.status == entry.before && !under_way.mistakable;
        if !writable && !untouched {
            return world.process(p).conflicts();
        }
        let seen = &entry.look.object;
        let finalizer = seen.has_finalizer() == object.finalizer;
        let same =
            seen.generation() == i64::from(object.generation) && seen.is_deleting() == object.deleting && finalizer;
        let overwritten = !same && self.mutant() != Mutant::EditsSwallowed;
        world.process(p).wake(if overwritten { Due::Soon } else { next });
        world.store(p, Stored { status: entry.status, ..object });
    }

    fn arrive(&self, world: &mut World, i: usize, arrival: Arrival) {
        let request = world.azure.on_the_way.remove(i);
        let (answer, broken) = match arrival {
            Arrival::Lost => (None, None),
            Arrival::Refused => (Some(Answer::Refused), None),
            Arrival::Plain | Arrival::Unanswered => {
                let forgotten =
                    world.object.is_none() && matches!(request.verb, WrittenVerb::Create | WrittenVerb::Put);
                let gone = forgotten.then_some("nothing is made for an object that is gone");
                let (answer, broken) = world.azure.take(&request, &self.minds.documents);
                ((arrival == Arrival::Plain).then_some(answer), broken.or(gone))
            }
        };
        world.broken = world.broken.or(broken);
        if let Some(p) = request.from {
            // What was listed before the write ended doesn't count from here on.
            let snapshot = &mut world.process(p).snapshot;
            *snapshot = snapshot.map(|snapshot| Snapshot { counts: false, is_old: false, ..snapshot });
            self.happen(world, p, answer.map_or(Happened::Unanswered, Happened::Answered));
        }
    }

    fn people(&self, world: &mut World, deed: Deed) -> Option<()> {
        world.deeds = world.deeds.checked_sub(1)?;
        let changed = match (deed, world.object) {
            (Deed::Edit(manifest), Some(object)) if !object.deleting && manifest != object.manifest => {
                Some(Stored { manifest, generation: object.generation + 1, ..object })
            }
            (Deed::Delete, Some(object)) if !object.deleting => {
                let deleting = Stored { deleting: true, generation: object.generation + 1, ..object };
                object.finalizer.then_some(deleting)
            }
            (Deed::MakeAgain, None) => {
                let uid = world.deeds + 10;
                Some(Stored { uid, ..fresh(&self.minds, self.setup.start) })
            }
            _ => return None,
        };
        world.object = changed;
        world.all_are_behind();
        Some(())
    }

    fn trouble(&self, world: &mut World, fault: Fault, which: usize) -> Option<()> {
        world.faults = world.faults.checked_sub(1)?;
        match fault {
            Fault::Crash => {
                world.end(which);
                world.processes[which] = Some(process(true));
            }
            Fault::LoseAnswer => self.arrive(world, which, Arrival::Unanswered),
            Fault::LoseRequest => self.arrive(world, which, Arrival::Lost),
            Fault::Refuse => self.arrive(world, which, Arrival::Refused),
            Fault::FailWork => world.azure.work_ends(false).then_some(())?,
            Fault::FailRead => {
                let look = world.process(which).look?;
                if self.minds.entry(look.look).effect != Effect::ReadFresh {
                    return None;
                }
                self.happen(world, which, Happened::Unread);
            }
            Fault::ChangeByHand => {
                world.azure.now.filter(|now| now.whose == Whose::Ours)?;
                world.azure.change_by_hand(&self.minds.documents);
            }
            Fault::DeleteByHand => {
                world.azure.now?;
                world.azure.delete_by_hand();
            }
            Fault::Occupy => {
                let writing = |process: &Process| {
                    let effect = process.look.map(|look| self.minds.entry(look.look));
                    effect.is_some_and(|e| matches!(e.effect, Effect::RecordIntent | Effect::Send { .. }))
                };
                let race = world.processes.iter().flatten().any(writing) || !world.azure.on_the_way.is_empty();
                if race || world.azure.now.is_some() {
                    return None;
                }
                world.azure.occupy(&self.minds.documents);
            }
        }
        Some(())
    }
}

/// How a request ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Arrival {
    Plain,
    Unanswered,
    Lost,
    Refused,
}

/// The finalizer goes, and the object with it.
fn release(world: &mut World, p: usize, writable: bool) {
    let process = world.process(p);
    (process.look, process.is_busy) = (None, false);
    let Some(object) = world.object.filter(|_| writable) else { return world.process(p).wake(Due::Soon) };
    let left = |now: Resource| now.whose == Whose::Ours;
    let making = |request: &Request| request.verb == WrittenVerb::Create;
    let kept = world.azure.now.is_some_and(left) || world.azure.on_the_way.iter().any(making);
    if kept && object.manifest.care != Care::Observe {
        world.broken = Some("the finalizer goes only when the resource has gone");
    }
    world.object = (!object.deleting).then_some(Stored { finalizer: false, ..object });
    world.all_are_behind();
}

/// An object that has just been made.
fn fresh(minds: &Minds, manifest: Manifest) -> Stored {
    let status = minds.documents.document(Value::Null);
    Stored { manifest, generation: 1, uid: 1, deleting: false, finalizer: false, status }
}

/// A process that has just started.
fn process(leads: bool) -> Process {
    Process {
        leads,
        is_young: true,
        cached: None,
        is_current: false,
        snapshot: None,
        is_busy: false,
        due: Due::No,
        failed: None,
        look: None,
    }
}

impl Process {
    /// It looks again by then at the latest.
    fn wake(&mut self, due: Due) {
        self.due = self.due.max(due);
    }

    /// The API server refuses a write, and the look is repeated a little later.
    fn conflicts(&mut self) {
        self.look = None;
        self.wake(Due::Soon);
    }
}

impl World {
    fn process(&mut self, p: usize) -> &mut Process {
        self.processes[p].as_mut().unwrap()
    }

    /// Whether another process leads by now.
    fn is_deposed(&self, p: usize) -> bool {
        self.processes[p + 1..].iter().flatten().any(|other| other.leads)
    }

    /// Whether a process waits for the answer to a write.
    fn is_waiting(&self, p: usize) -> bool {
        self.azure.on_the_way.iter().any(|request| request.from == Some(p))
    }

    /// A process ends. What it has sent is on its way.
    fn end(&mut self, p: usize) {
        self.processes[p] = None;
        for request in self.azure.on_the_way.iter_mut().filter(|request| request.from == Some(p)) {
            request.from = None;
        }
    }

    /// The object has changed: whoever knew it knows an older version.
    fn all_are_behind(&mut self) {
        for process in self.processes.iter_mut().flatten() {
            process.is_current = false;
            if let Some(look) = &mut process.look {
                look.on_current = false;
            }
        }
    }

    /// A process writes the object, and knows it then.
    fn store(&mut self, p: usize, object: Stored) {
        if self.object == Some(object) {
            return;
        }
        self.object = Some(object);
        self.all_are_behind();
        let process = self.process(p);
        (process.cached, process.is_current) = (Some(object), true);
        if let Some(look) = &mut process.look {
            look.on_current = true;
        }
    }
}

impl Model for Checked {
    type State = World;
    type Action = Happening;

    fn init_states(&self) -> Vec<World> {
        let mut processes: Vec<_> = (0..self.setup.replicas).map(|p| Some(process(p == 0))).collect();
        for process in processes.iter_mut().flatten() {
            process.is_young = false;
        }
        vec![World {
            object: Some(fresh(&self.minds, self.setup.start)),
            azure: Azure::new(&self.minds.documents, self.setup.occupied),
            processes,
            deeds: self.setup.deeds,
            faults: self.setup.faults,
            broken: None,
        }]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Happening>) {
        if world.broken.is_some() {
            return;
        }
        self.fair_steps(world, steps);
        if world.deeds > 0 {
            steps.extend(self.setup.people.iter().map(|deed| Happening::People(*deed)));
        }
        if world.faults > 0 {
            for fault in self.setup.trouble {
                let many = match fault {
                    Fault::LoseAnswer | Fault::LoseRequest | Fault::Refuse => world.azure.on_the_way.len(),
                    Fault::Crash | Fault::FailRead => world.processes.len(),
                    _ => 1,
                };
                let there = |which: &usize| match fault {
                    Fault::Crash | Fault::FailRead => world.processes[*which].as_ref().is_some_and(|p| p.leads),
                    _ => true,
                };
                steps.extend((0..many).filter(there).map(|which| Happening::Trouble(*fault, which)));
            }
        }
    }

    fn next_state(&self, world: &World, step: Happening) -> Option<World> {
        self.after(world, step)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no promise is broken", |_, world: &World| world.broken.is_none()),
            Property::always("it comes to rest as the manifest says", |model: &Self, world: &World| {
                world.broken.is_some() || model.comes_to_rest(world).is_ok()
            }),
        ]
    }
}
