//! Liveness: from every state that can be reached, things come to rest as the manifest says, once people and trouble
//! leave it alone.
//!
//! A checker's own "eventually" ends where paths end, and doesn't see what goes round in circles. So each reachable state
//! is run to rest by a fair schedule without further trouble: every step that stays possible is taken sooner or later.
//! That is sound for the schedule, and the schedule is one that the real engine has: the watch and lists arrive, timers
//! fire, requests arrive, Azure ends its work, and time passes last. Where another order made a difference, its states are
//! reachable ones too, and are run to rest themselves.
//!
//! A look is only taken for granted where something wakes it soon. What would be done at rest by a look that is ten
//! intervals away is a wake-up that was lost.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use crate::azure::{State, Whose};
use crate::documents::Care;
use crate::operator::Due;
use crate::world::{Checked, Happening, World};

/// No run to rest takes as many steps.
const LONGEST: usize = 1_000;

/// Whether two states differ at most in when they are looked at.
fn same(one: &World, other: &World) -> bool {
    let timeless = |world: &World| {
        let mut world = world.clone();
        world.processes.iter_mut().flatten().for_each(|process| process.due = Due::No);
        world
    };
    timeless(one) == timeless(other)
}

impl Checked {
    /// Runs a state to rest.
    ///
    /// # Errors
    /// What is wrong at its end, or that it has none.
    pub fn comes_to_rest(&self, from: &World) -> Result<(), String> {
        let mut path = Vec::new();
        let mut world = from.clone();
        loop {
            let mark = BuildHasherDefault::<DefaultHasher>::default().hash_one(&world);
            if self.resting.lock().unwrap().contains(&mark) {
                break;
            }
            path.push(mark);
            if path.len() > LONGEST {
                return Err("it doesn't come to rest".to_owned());
            }
            if let Some(broken) = world.broken {
                return Err(broken.to_owned());
            }
            match self.fair_step(&world) {
                Some(next) => world = next,
                None => {
                    // Nothing happens any more but looks; those and the passing of time have to change nothing.
                    let passed = self.looked_and_passed(&world, Due::Soon);
                    if same(&passed, &world) {
                        if !same(&self.looked_and_passed(&world, Due::No), &world) {
                            return Err("what is to be done waits for ten intervals".to_owned());
                        }
                        self.is_as_the_manifest_says(&world)?;
                        break;
                    }
                    world = passed;
                }
            }
        }
        self.resting.lock().unwrap().extend(path);
        Ok(())
    }

    /// The next step of everything but new looks and time.
    fn fair_step(&self, world: &World) -> Option<World> {
        let mut steps = Vec::new();
        self.fair_steps(world, &mut steps);
        let waits = |step: &Happening| !matches!(step, Happening::Begin(_) | Happening::Pass);
        let rank = |step: &Happening| match step {
            Happening::TakeOver | Happening::Exit => 0,
            Happening::Arrive(_) => 1,
            Happening::Watch(_) => 2,
            Happening::GoOn(_) => 3,
            _ => 4,
        };
        steps.sort_by_key(rank);
        steps.into_iter().filter(waits).find_map(|step| self.after(world, step))
    }

    /// Each process reads the list anew.
    fn listed(&self, world: World) -> World {
        let lists = (0..world.processes.len()).filter(|p| world.processes[*p].as_ref().is_some_and(|it| it.leads));
        lists.fold(world.clone(), |world, p| self.after(&world, Happening::List(p)).unwrap_or(world))
    }

    /// Each process that is due looks once, and time passes.
    fn looked_and_passed(&self, world: &World, due: Due) -> World {
        let looked = self.look_once(world, due);
        self.listed(self.after(&looked, Happening::Pass).unwrap_or(looked))
    }

    /// Each process looks once that is due so soon. The list wakes who takes an operation for being under way.
    fn look_once(&self, world: &World, due: Due) -> World {
        let mut world = world.clone();
        for p in 0..world.processes.len() {
            let Some(process) = world.processes[p].as_mut().filter(|process| process.leads) else { continue };
            if process.due < due && !process.is_busy {
                continue;
            }
            process.due = Due::Soon;
            if let Some(begun) = self.after(&world, Happening::Begin(p)) {
                world = begun;
            }
            while world.processes[p].as_ref().is_some_and(|process| process.look.is_some()) {
                let waits = !world.azure.on_the_way.is_empty();
                match self.after(&world, if waits { Happening::Arrive(0) } else { Happening::GoOn(p) }) {
                    Some(next) => world = next,
                    None => break,
                }
            }
        }
        world
    }

    /// What Azure has at rest, and what status says of it.
    fn is_as_the_manifest_says(&self, world: &World) -> Result<(), String> {
        let documents = &self.minds.documents;
        let ours = world.azure.now.filter(|now| now.whose == Whose::Ours);
        let Some(object) = world.object else {
            // Who only observes leaves what is there; all else is gone with its object.
            let left = ours.is_some() && !self.setup.may_be_left();
            return if left { Err("what was made is left behind".to_owned()) } else { Ok(()) };
        };
        let status = documents.get(object.status);
        let condition = |kind: &str| {
            let all = status["conditions"].as_array().into_iter().flatten();
            all.filter(|c| c["type"] == kind).map(|c| c["status"].as_str().unwrap_or_default().to_owned()).next()
        };
        let reason = |kind: &str| {
            let all = status["conditions"].as_array().into_iter().flatten();
            all.filter(|c| c["type"] == kind).map(|c| c["reason"].as_str().unwrap_or_default().to_owned()).next()
        };
        let says = |kind: &str| condition(kind).as_deref() == Some("True");
        if object.deleting {
            let held = object.manifest.care == Care::Paused;
            return if held { Ok(()) } else { Err("the deletion doesn't end".to_owned()) };
        }
        match (object.manifest.care, world.azure.now) {
            (Care::Paused | Care::Observe, _) => Ok(()),
            (_, Some(now)) if now.whose == Whose::Theirs => {
                if says("Stalled") {
                    Ok(())
                } else {
                    Err("another's resource isn't told of".to_owned())
                }
            }
            (Care::ReportDrift, _) if world.faults < self.setup.faults => Ok(()),
            (_, None) => Err("nothing was made".to_owned()),
            // Changed by hand while our own write was under way: that can't be told from a value that Azure doesn't keep.
            (_, Some(now)) if now.last == Whose::Theirs && reason("InSync").as_deref() == Some("NotHonoured") => Ok(()),
            (_, Some(now)) => {
                if now.state != State::Succeeded || !object.manifest.is_in(&documents.get(now.settings)) {
                    return Err(format!("Azure isn't as the manifest says: {:?}", now.state));
                }
                if !says("Ready") || !says("InSync") || !status["operation"].is_null() {
                    return Err(format!("the status isn't settled: {status}"));
                }
                Ok(())
            }
        }
    }
}
