//! All that the objects of an environment have said: a condition that held for a moment counts, however busy the machine
//! that the test waits on.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};
use serde_json::{Value, json};

/// How often the history is read again.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// Each state of each Workspace and cluster that a watch has told, the oldest first.
#[derive(Clone, Default)]
pub struct History(Arc<Mutex<Vec<Value>>>);

impl History {
    /// Starts to record, until the test ends.
    pub fn record(client: &Client) -> Self {
        let history = History::default();
        for kind in ["Workspace", "ComputeCluster"] {
            tokio::spawn(history.clone().watch(client.clone(), kind));
        }
        history
    }

    async fn watch(self, client: Client, kind: &'static str) {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("azureml.dev", "v1alpha1", kind));
        let objects: Api<DynamicObject> = Api::all_with(client, &resource);
        let mut events = std::pin::pin!(watcher::watcher(objects, watcher::Config::default()));
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Apply(object) | Event::InitApply(object)) => {
                    let mut object = serde_json::to_value(&object).unwrap();
                    object["kind"] = json!(kind);
                    self.0.lock().unwrap().push(object);
                }
                Ok(_) => {}
                // It is tried again: what was missed then is seen by those who look at the object itself. At once it would
                // be tried without end when the API server has ended, and the test with it.
                Err(_) => tokio::time::sleep(ASK_EVERY).await,
            }
        }
    }

    /// Where it ends now.
    pub fn end(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// Waits for a state after `since` of which `holds` is true.
    pub async fn find(&self, since: usize, holds: impl Fn(&Value) -> bool) -> Value {
        loop {
            if let Some(found) = self.0.lock().unwrap()[since..].iter().find(|object| holds(object)) {
                return found.clone();
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }
}
