//! Events: what a person wants to read in `kubectl describe`. Only on transitions; none when nothing happens.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use azureml_planner::ownership::short_hash;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource};
use serde_json::json;

use crate::context::Context;
use crate::engine::watch::resource_of;
use crate::index::Object;

/// Whether an event tells of the usual or of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Normal,
    /// Somebody should look.
    Warning,
}

/// How many events are remembered for their count.
const REMEMBERED: usize = 10_000;
const CONFLICT: u16 = 409;
const NOT_FOUND: u16 = 404;

/// Publishes events. One that says the same of the same object again is counted, not repeated; one that says something
/// else is another, since the words of an event can't be changed: whoever approves a plan must read that plan's hash.
pub struct Recorder {
    client: Client,
    controller: String,
    instance: String,
    counts: Mutex<HashMap<String, i32>>,
}

impl Recorder {
    /// For events of this controller, of which this process is an instance.
    pub fn new(client: Client, controller: &str, instance: &str) -> Self {
        Self { client, controller: controller.to_owned(), instance: instance.to_owned(), counts: Mutex::default() }
    }

    async fn publish(&self, told: Told<'_>, of: &ObjectReference) -> Result<(), kube::Error> {
        let namespace = of.namespace.clone().unwrap_or_else(|| "default".to_owned());
        let events: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        let name = told.name(of);
        let count = self.count(&name);
        if count > 1 {
            match self.again(&events, &name, count).await {
                Err(kube::Error::Api(status)) if status.code == NOT_FOUND => {}
                ended => return ended,
            }
        }
        let event = self.event(&told, name.clone(), of);
        match events.create(&PostParams::default(), &event).await {
            // An earlier life of this process has told it.
            Err(kube::Error::Api(status)) if status.code == CONFLICT => self.again(&events, &name, 2).await,
            ended => ended.map(drop),
        }
    }

    fn count(&self, name: &str) -> i32 {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() > REMEMBERED {
            counts.clear();
        }
        let count = counts.entry(name.to_owned()).or_default();
        *count = count.saturating_add(1);
        *count
    }

    async fn again(&self, events: &Api<Event>, name: &str, count: i32) -> Result<(), kube::Error> {
        let series = json!({"series": {"count": count, "lastObservedTime": MicroTime(Timestamp::now())}});
        events.patch(name, &PatchParams::default(), &Patch::Merge(series)).await.map(drop)
    }

    fn event(&self, told: &Told<'_>, name: String, of: &ObjectReference) -> Event {
        Event {
            metadata: ObjectMeta { name: Some(name), namespace: of.namespace.clone(), ..ObjectMeta::default() },
            type_: Some(format!("{:?}", told.tone)),
            reason: Some(told.reason.to_owned()),
            action: Some(told.action.to_owned()),
            note: Some(told.note.clone()),
            regarding: Some(of.clone()),
            event_time: Some(MicroTime(Timestamp::now())),
            reporting_controller: Some(self.controller.clone()),
            reporting_instance: Some(self.instance.clone()),
            ..Event::default()
        }
    }
}

/// What an event says.
struct Told<'a> {
    tone: Tone,
    reason: &'a str,
    action: &'a str,
    note: String,
}

impl Told<'_> {
    /// The same for the same words about the same object.
    fn name(&self, of: &ObjectReference) -> String {
        let parts = [of.uid.as_deref().unwrap_or_default(), self.reason, self.action, &self.note];
        let hash = &short_hash(parts.join("\n").as_bytes())[..16];
        let name: String = of.name.as_deref().unwrap_or("azureml").chars().take(200).collect();
        format!("{name}.{hash}")
    }
}

/// Publishes an event on an object. A failure is logged: events are never worth failing for, and a namespace that is
/// being deleted takes none.
pub async fn publish(ctx: &Context, object: &Object, tone: Tone, reason: &str, action: &str, note: &str) {
    let reference = object.raw.object_ref(&resource_of(object.key.kind));
    publish_on(ctx, &reference, tone, reason, action, note).await;
}

/// [`publish`] on an object that isn't of our kinds.
pub async fn publish_on(
    ctx: &Context,
    reference: &ObjectReference,
    tone: Tone,
    reason: &str,
    action: &str,
    note: &str,
) {
    let told = Told { tone, reason, action, note: note.chars().take(1000).collect() };
    if let Err(error) = ctx.recorder.publish(told, reference).await {
        tracing::debug!(object = reference.name, %error, reason, "the event could not be published");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_note_is_another_event() {
        let of = ObjectReference { name: Some("gpu".into()), uid: Some("u".into()), ..ObjectReference::default() };
        let name = |of: &ObjectReference, reason: &'static str, note: &str| {
            Told { tone: Tone::Normal, reason, action: "Plan", note: note.to_owned() }.name(of)
        };
        let first = name(&of, "AwaitingApproval", "approve=1");
        assert_eq!(first, name(&of, "AwaitingApproval", "approve=1"));
        assert!(first.starts_with("gpu.") && first.len() == "gpu.".len() + 16, "{first}");
        let remade = ObjectReference { uid: Some("v".into()), ..of.clone() };
        let others = [
            name(&of, "AwaitingApproval", "approve=2"),
            name(&of, "Ready", "approve=1"),
            name(&remade, "AwaitingApproval", "approve=1"),
        ];
        assert!(others.iter().all(|other| *other != first), "{others:?}");
    }
}
