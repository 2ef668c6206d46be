//! Tells how it came to what is wrong.

use stateright::Path;

use crate::azure::Azure;
use crate::operator::Process;
use crate::world::{Checked, Happening, World};

/// How it comes to what is wrong.
pub fn told(model: &Checked, property: &str, path: Path<World, Happening>) -> String {
    let last = path.last_state().clone();
    let mut told = format!("not so: {property}\n");
    for (world, happening) in path.into_vec() {
        told.push_str(&model.describe(&world));
        if let Some(happening) = happening {
            told.push_str(&format!("{happening:?}\n"));
        }
    }
    let why = last.broken.map_or_else(|| model.comes_to_rest(&last).err(), |broken| Some(broken.to_owned()));
    told + &format!("wrong: {}\n", why.unwrap_or_default())
}

impl Checked {
    /// A state in a few lines.
    pub fn describe(&self, world: &World) -> String {
        let Azure { now, list, get, on_the_way, .. } = &world.azure;
        let mut text =
            format!("    {:?}\n    azure {now:?} list {list:?} read {get:?} on the way {on_the_way:?}\n", world.object);
        for process in world.processes.iter().flatten() {
            let effect = process.look.map(|look| format!("{:?}", self.minds.entry(look.look).effect));
            let effect: String = effect.unwrap_or_default().chars().take(160).collect();
            let cached = process.cached.map(|cached| (cached.generation, cached.status));
            let Process { is_current, is_young, snapshot, is_busy, due, failed, .. } = process;
            text.push_str(&format!(
                "    process knows {cached:?} current {is_current} young {is_young} list {snapshot:?} busy {is_busy} due {due:?} failed {failed:?} {effect}\n"
            ));
        }
        text
    }
}
