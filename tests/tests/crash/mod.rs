//! The operator killed, stopped and misled at each of its writes: a gate holds the write, so that nothing hangs on time,
//! and azure-sim's request log is the judge.

mod exhaust;
mod lane;
mod owners;
mod scene;
mod stale;

use azureml_tests::gate::Moment;
use exhaust::{End, Return, exhaust};
use scene::{Azure, Scene};

/// A kill before a write leaves the world as a kill after the one before it does, but for who knows of it: both are tried
/// once, and the rest has the latter.
const AFTER: &[Moment] = &[Moment::After];
/// A stop lets a write that is held before it was sent take all of its way.
const BEFORE: &[Moment] = &[Moment::Before];

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_write_azure_is_written_once() {
    let mut scene = Scene::start(Azure::Prompt).await;
    let cases = exhaust(&mut scene, End::Kill, Return::Informed, &[Moment::Before, Moment::After]).await;
    azureml_promises::held("crash::killed_at_any_write_azure_is_written_once", cases);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_write_while_azure_answers_with_old_data() {
    let mut scene = Scene::start(Azure::Late).await;
    let cases = exhaust(&mut scene, End::Kill, Return::Informed, AFTER).await;
    azureml_promises::held("crash::killed_at_any_write_while_azure_answers_with_old_data", cases);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_write_and_started_with_an_old_list() {
    let mut scene = Scene::start(Azure::Prompt).await;
    let cases = exhaust(&mut scene, End::Kill, Return::Outdated, AFTER).await;
    azureml_promises::held("crash::killed_at_any_write_and_started_with_an_old_list", cases);
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_at_any_write_what_is_under_way_ends() {
    let mut scene = Scene::start(Azure::Prompt).await;
    let cases = exhaust(&mut scene, End::Stop, Return::Informed, BEFORE).await;
    azureml_promises::held("crash::stopped_at_any_write_what_is_under_way_ends", cases);
}
