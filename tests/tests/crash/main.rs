//! The operator killed, stopped and misled at each of its writes: a gate holds the write, so that nothing hangs on time,
//! and azure-sim's request log is the judge.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod exhaust;
mod lane;
mod owners;
mod scene;
mod stale;

use exhaust::{End, Pace, Return, exhaust};
use scene::{Azure, Scene};

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_write_azure_is_written_once() {
    let mut scene = Scene::start(Azure::Prompt).await;
    let cases = exhaust(&mut scene, End::Kill, Return::Informed, Pace::Close).await;
    azureml_promises::held("crash::killed_at_any_write_azure_is_written_once", cases);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_write_while_azure_answers_with_old_data() {
    let mut scene = Scene::start(Azure::Late).await;
    let cases = exhaust(&mut scene, End::Kill, Return::Informed, Pace::Brisk).await;
    azureml_promises::held("crash::killed_at_any_write_while_azure_answers_with_old_data", cases);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_write_and_started_with_an_old_list() {
    let mut scene = Scene::start(Azure::Prompt).await;
    let cases = exhaust(&mut scene, End::Kill, Return::Outdated, Pace::Brisk).await;
    azureml_promises::held("crash::killed_at_any_write_and_started_with_an_old_list", cases);
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_at_any_write_what_is_under_way_ends() {
    let mut scene = Scene::start(Azure::Prompt).await;
    let cases = exhaust(&mut scene, End::Stop, Return::Informed, Pace::Brisk).await;
    azureml_promises::held("crash::stopped_at_any_write_what_is_under_way_ends", cases);
}
