//! Events: what a person wants to read in `kubectl describe`. Only on transitions; none when nothing happens.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Resource;
use kube::runtime::events::{Event, EventType};

use crate::context::Context;
use crate::engine::watch::{api_resource, kinds};
use crate::index::Object;

/// Whether an event tells of the usual or of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Normal,
    /// Somebody should look.
    Warning,
}

/// Publishes an event on an object. A failure is logged: events are never worth failing for, and a namespace that is
/// being deleted takes none.
pub async fn publish(ctx: &Context, object: &Object, tone: Tone, reason: &str, action: &str, note: &str) {
    let plural = kinds().into_iter().find(|watched| watched.kind == object.key.kind).map_or("", |w| w.plural);
    let reference = object.raw.object_ref(&api_resource(object.key.kind, plural));
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
    let event = Event {
        type_: if tone == Tone::Normal { EventType::Normal } else { EventType::Warning },
        reason: reason.to_owned(),
        note: Some(note.chars().take(1000).collect()),
        action: action.to_owned(),
        secondary: None,
    };
    if let Err(error) = ctx.recorder.publish(&event, reference).await {
        tracing::debug!(object = reference.name, %error, reason, "the event could not be published");
    }
}
