//! The engine goes on while the watch doesn't tell it of its own writes, or of anything.

use azureml_tests::gate::{Moment, Watching};

use super::lane::{self, Lane, Phase};
use super::scene::{Azure, Scene};

fn lanes() -> Vec<Lane> {
    Phase::ALL.map(|phase| Lane { phase, nth: 1, moment: Moment::After }).to_vec()
}

fn judge(scene: &Scene, lanes: &[Lane], requests: &[azureml_tests::SimRequest], azure: &serde_json::Value) {
    lanes.iter().for_each(|lane| lane.judge(scene, requests, azure));
}

/// All phases from beginning to end, on a watch that keeps the echo of each of the operator's writes back, and at last
/// brings all of it at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_is_late_with_our_own_writes_leads_to_no_second_one() {
    let mut scene = Scene::start(Azure::Prompt).await;
    let lanes = lanes();
    scene.gate.watching(Watching::News);
    lane::prepare(&scene, &lanes).await;
    scene.start_operator().await;
    lane::prepared(&scene, &lanes).await;
    lane::begin(&scene, &lanes).await;
    // That an object is gone is told by the watch only: who is next in line has to wait for that.
    let (heirs, others): (Vec<Lane>, Vec<Lane>) = lanes.iter().cloned().partition(|lane| lane.phase == Phase::Heir);
    for lane in &others {
        scene.until(&format!("the end of {}", lane.name()), |objects| lane.has_ended(objects)).await;
    }
    // The engine looks on without having heard of what it wrote; then it hears all of it.
    scene.lists(3).await;
    judge(&scene, &others, &scene.env.sim.requests().await.unwrap(), &scene.azure().await);
    scene.gate.watching(Watching::Live);
    for lane in &heirs {
        scene.until(&format!("the end of {}", lane.name()), |objects| lane.has_ended(objects)).await;
    }
    scene.lists(3).await;
    judge(&scene, &lanes, &scene.env.sim.requests().await.unwrap(), &scene.azure().await);
    scene.nothing_else_was_touched().await;
    azureml_promises::held("crash::a_watch_that_is_late_with_our_own_writes_leads_to_no_second_one", lanes.len());
}

/// Manifests change while the watch says nothing at all: nothing is written on what was, and all of it once it speaks.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_watch_leads_to_no_write() {
    let mut scene = Scene::start(Azure::Prompt).await;
    let lanes = lanes();
    lane::prepare(&scene, &lanes).await;
    scene.start_operator().await;
    lane::prepared(&scene, &lanes).await;
    // What was begun before it fell silent is let end.
    scene.lists(2).await;
    scene.gate.watching(Watching::Silent);
    lane::begin(&scene, &lanes).await;
    let before = scene.env.sim.requests().await.unwrap();
    scene.lists(3).await;
    let after = scene.env.sim.requests().await.unwrap();
    for lane in &lanes {
        let writes = |requests| scene.writes_to(&lane.name(), requests);
        assert_eq!(writes(&after), writes(&before), "{}", lane.name());
    }
    scene.gate.watching(Watching::Live);
    for lane in &lanes {
        scene.until(&format!("the end of {}", lane.name()), |objects| lane.has_ended(objects)).await;
    }
    scene.lists(3).await;
    judge(&scene, &lanes, &scene.env.sim.requests().await.unwrap(), &scene.azure().await);
    scene.nothing_else_was_touched().await;
    azureml_promises::held("crash::a_silent_watch_leads_to_no_write", lanes.len());
}
