//! Each write of each phase, before and after: all phases are brought to their n-th write and held there, then the
//! operator ends once for all of them, and a new one has to bring each to its end.

use std::collections::BTreeSet;

use azureml_tests::gate::{Hold, Moment, Watching};
use futures::FutureExt;
use serde_json::{Value, json};

use super::lane::{self, Lane, Phase};
use super::scene::Scene;

/// How the operator ends while the writes are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// SIGKILL: a write that is held before it was forwarded never is, an answer that is held is lost.
    Kill,
    /// SIGTERM: it goes on with what it has begun.
    Stop,
}

/// What the next operator knows of Kubernetes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Return {
    /// All.
    Informed,
    /// What the API server knew before the phases began: the list comes from an old cache, and the watch is silent. A
    /// while later it is told the rest.
    Outdated,
}

/// So many are tried one by one: a new operator finds Azure still at work on them, and whatever is held there keeps its
/// turn to write, of which the others would be short.
const ALONE: usize = 5;
/// From then on, in steps of so many, the writes of a phase are tried at once: those that are held first wait for the others.
const STRIDE: usize = 4;
/// How many writes a phase is taken to have until a life of it was seen.
const GUESS: usize = 8;

/// What is known of a phase, and tried.
struct Course {
    phase: Phase,
    /// The most writes that a life of it took.
    longest: usize,
    tried: BTreeSet<usize>,
    /// The lowest that a life ended without.
    unreached: Option<usize>,
}

impl Course {
    fn new(phase: Phase) -> Self {
        Course { phase, longest: GUESS, tried: BTreeSet::new(), unreached: None }
    }

    /// The next lanes; none when all writes up to the end of a life were tried.
    fn next(&mut self, moments: &[Moment]) -> Vec<Lane> {
        let Some(first) = (1..).find(|nth| !self.tried.contains(nth)) else { return Vec::new() };
        if self.unreached.is_some_and(|unreached| first > unreached) {
            return Vec::new();
        }
        let last = if first <= ALONE { first } else { self.longest + 1 };
        let new: Vec<usize> = (first..=last.max(first)).step_by(STRIDE).filter(|nth| self.tried.insert(*nth)).collect();
        let phase = self.phase;
        let lane = |nth| moments.iter().map(move |moment| Lane { phase, nth, moment: *moment });
        new.into_iter().flat_map(lane).collect()
    }

    /// Takes in whether a lane came to its write, and how many writes it took in all.
    fn learn(&mut self, nth: usize, reached: bool, writes: usize) {
        self.longest = self.longest.max(writes);
        if !reached {
            self.unreached = Some(self.unreached.map_or(nth, |before| before.min(nth)));
        }
    }
}

/// Goes through all writes of all phases. Gives the number of cases: of writes at which the operator ended.
pub async fn exhaust(scene: &mut Scene, end: End, back: Return, moments: &[Moment]) -> usize {
    let mut courses = Phase::ALL.map(Course::new);
    let (mut all, mut cases) = (Vec::new(), 0);
    let mut lanes: Vec<Lane> = courses.iter_mut().flat_map(|course| course.next(moments)).collect();
    lane::prepare(scene, &lanes).await;
    scene.start_operator().await;
    while !lanes.is_empty() {
        let began = std::time::Instant::now();
        let (holds, old) = bring(scene, &lanes).await;
        let reached: Vec<bool> = holds.iter().map(Option::is_some).collect();
        if reached.contains(&true) {
            put_an_end(scene, end, holds).await;
            restart(scene, back, &lanes, old).await;
        }
        rest(scene, &lanes).await;
        let writes = scene.gate.writes();
        for (lane, reached) in lanes.iter().zip(&reached) {
            let is_it = lane.steps();
            let took = writes.iter().filter(|write| is_it(write)).count();
            let course = courses.iter_mut().find(|course| course.phase == lane.phase);
            course.unwrap().learn(lane.nth, *reached, took);
        }
        let names = lanes.iter().zip(&reached).filter(|(_, reached)| **reached).map(|(lane, _)| lane.name());
        let names: Vec<String> = names.collect();
        cases += names.len();
        eprintln!("{} s, {end:?} at {}", began.elapsed().as_secs(), names.join(" "));
        all.append(&mut lanes);
        lanes = courses.iter_mut().flat_map(|course| course.next(moments)).collect();
        lane::prepare(scene, &lanes).await;
    }
    nothing_more(scene, &all).await;
    cases
}

/// Begins the phases and waits until each is held at its write, or has ended without coming to it. Gives the holds, and
/// the clusters as they were before.
async fn bring(scene: &Scene, lanes: &[Lane]) -> (Vec<Option<Hold>>, Value) {
    lane::prepared(scene, lanes).await;
    let old = list(scene).await;
    let holds: Vec<Hold> = lanes.iter().map(|lane| scene.gate.hold(lane.nth, lane.moment, lane.steps())).collect();
    lane::begin(scene, lanes).await;
    let come = lanes.iter().zip(holds).map(|(lane, mut hold)| async move {
        let what = format!("{} to come to its write or to its end", lane.name());
        let reached = tokio::select! {
            _ = hold.reached() => true,
            () = scene.until(&what, |objects| lane.has_ended(objects)) => false,
        };
        (hold, reached)
    });
    let mut come = futures::future::join_all(come).await;
    if come.iter().any(|(_, reached)| !reached) {
        // What was seen last may be told, too.
        scene.lists(1).await;
    }
    let held = come.drain(..).map(|(mut hold, reached)| {
        let reached = reached || hold.reached().now_or_never().is_some();
        reached.then_some(hold)
    });
    (held.collect(), old)
}

async fn put_an_end(scene: &mut Scene, end: End, holds: Vec<Option<Hold>>) {
    match end {
        End::Kill => {
            scene.kill_operator();
            drop(holds);
        }
        End::Stop => {
            scene.stop_operator(|| holds.into_iter().flatten().for_each(Hold::pass)).await;
            let objects = list(scene).await;
            for object in objects["items"].as_array().into_iter().flatten() {
                let phase = &object["status"]["operation"]["phase"];
                assert_ne!(phase, "Intended", "stopped before the answer was on record: {object:#}");
            }
        }
    }
}

async fn restart(scene: &mut Scene, back: Return, lanes: &[Lane], old: Value) {
    if back == Return::Outdated {
        scene.gate.answer_lists("computeclusters", Some(old));
        scene.gate.watching(Watching::Silent);
        let before = scene.env.sim.requests().await.unwrap();
        scene.start_operator().await;
        scene.lists(2).await;
        let after = scene.env.sim.requests().await.unwrap();
        for lane in lanes {
            let writes = |requests| scene.writes_to(&lane.name(), requests);
            assert_eq!(writes(&after), writes(&before), "{}: written on old knowledge", lane.name());
        }
        scene.gate.answer_lists("computeclusters", None);
        scene.gate.watching(Watching::Live);
    } else {
        scene.start_operator().await;
    }
}

/// All clusters as the API server lists them.
async fn list(scene: &Scene) -> Value {
    let request = http::Request::get("/apis/azureml.dev/v1alpha1/computeclusters").body(Vec::new()).unwrap();
    let text = scene.env.plane.client().request_text(request).await.unwrap();
    serde_json::from_str(&text).unwrap_or(json!({}))
}

/// Waits for the end of each, and judges it.
async fn rest(scene: &Scene, lanes: &[Lane]) {
    for lane in lanes {
        scene.until(&format!("the end of {}", lane.name()), |objects| lane.has_ended(objects)).await;
    }
    let (requests, azure) = (scene.env.sim.requests().await.unwrap(), scene.azure().await);
    lanes.iter().for_each(|lane| lane.judge(scene, &requests, &azure));
}

/// However often the operator looked and started since, nothing came after the end of each.
async fn nothing_more(scene: &Scene, all: &[Lane]) {
    let quiet = scene.gate.count();
    scene.lists(3).await;
    let (requests, azure) = (scene.env.sim.requests().await.unwrap(), scene.azure().await);
    let writes = scene.gate.writes();
    for lane in all {
        lane.judge(scene, &requests, &azure);
        let is_it = lane.matcher();
        let late: Vec<String> = writes[quiet..].iter().filter(|write| is_it(write)).map(ToString::to_string).collect();
        assert_eq!(late, [""; 0], "{}: written though nothing was to be done", lane.name());
    }
    scene.nothing_else_was_touched().await;
}
