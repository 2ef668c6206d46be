//! Actions on an instance.

use super::{canonical, power, power::Cause, tables};
use crate::{
    front::{
        http::Answer,
        refusal::{Outcome, Refusal},
        versions,
    },
    ml::{cluster, computes, ctx::Ctx, render, schema, settle},
    resources::operations::{self, Urls},
    scope,
    state::{Compute, Power, Trigger},
};

/// The field that updateIdleShutdownSetting sets.
const IDLE_TIME: &str = "properties.properties.idleTimeBeforeShutdown";

/// POST of an action on an instance that is there.
///
/// # Errors
/// 409 while an operation is under way, 404 for what the api-version doesn't have, and what is wrong with the body. That
/// the instance's state doesn't allow it fails the operation, not the request.
pub fn act(ctx: &mut Ctx<'_>, action: &str) -> Outcome {
    match action {
        "start" => switch(ctx, Power::Start),
        "stop" => switch(ctx, Power::Stop),
        "restart" => switch(ctx, Power::Restart),
        "resize" => resize(ctx),
        "updateIdleShutdownSetting" => set_idle_time(ctx),
        "listNodes" => {
            let text = "ComputeListNodes with computeType ComputeInstance is not supported.";
            Err(Refusal::provider(400, "UserError", text))
        }
        _ => Err(computes::no_action(action, computes::find(ctx)?)),
    }
}

fn switch(ctx: &mut Ctx<'_>, power: Power) -> Outcome {
    let compute = computes::find(ctx)?;
    computes::check_rest(compute)?;
    let before = settle::before_write(compute, ctx.now.virt);
    let key = scope::key(&ctx.route.id());
    let cause = Cause { trigger: Trigger::User, fate: ctx.hints.fate.clone() };
    let guid = power::begin(ctx.settings, ctx.state, &key, power, cause, ctx.now.virt);
    let veil = before.and_then(|b| ctx.settings.veil(Some(b), ctx.now.virt));
    if let Some(compute) = ctx.state.computes.get_mut(&key)
        && veil.is_some()
    {
        compute.meta.veil = veil;
    }
    let answer = operations::announce(ctx, Answer::empty(202), &guid, "compute", Urls::Location);
    Ok(answer.with("Retry-After", ctx.settings.retry_after(10.0)))
}

/// Refuse an action that only preview versions have.
fn check_preview(ctx: &Ctx<'_>) -> Outcome<()> {
    if versions::COMPUTE_PREVIEWS.contains(&ctx.version) {
        return Ok(());
    }
    Err(Refusal::provider(
        404,
        "NotFound",
        format!(
            "No HTTP resource was found that matches the request URI '{}' in api-version '{}'. It is in: {}.",
            ctx.req.path,
            ctx.version,
            versions::COMPUTE_PREVIEWS.join(", ")
        ),
    ))
}

fn resize(ctx: &mut Ctx<'_>) -> Outcome {
    check_preview(ctx)?;
    let mut body = ctx.body()?;
    schema::check(&mut body, &tables::RESIZE, ctx.settings.options.unknown_fields)?;
    let compute = computes::find(ctx)?;
    computes::check_rest(compute)?;
    let size = body["targetVMSize"].as_str().unwrap_or_default().to_ascii_uppercase();
    let key = scope::key(&ctx.route.id());
    check_new_size(ctx, &key, compute, &size)?;
    if let Some(instance) = ctx.state.computes.get_mut(&key).and_then(|c| c.instance.as_mut()) {
        instance.resize_to = Some(size);
    }
    switch(ctx, Power::Resize)
}

/// The new size must be one, and have its quota.
fn check_new_size(ctx: &Ctx<'_>, key: &str, compute: &Compute, size: &str) -> Outcome<()> {
    let shape = crate::ml::canonical::Shape { size: size.into(), ..compute.shape() };
    let against = cluster::unfit(ctx.settings, ctx.state, key, &shape)
        .or_else(|| cluster::no_room(ctx.settings, ctx.state, key, &shape));
    let Some(error) = against else { return Ok(()) };
    let text = |name: &str| error["error"][name].as_str().unwrap_or_default().to_string();
    Err(Refusal::provider(400, &text("code"), text("message")).at("targetVMSize"))
}

fn set_idle_time(ctx: &mut Ctx<'_>) -> Outcome {
    check_preview(ctx)?;
    let mut body = ctx.body()?;
    schema::check(&mut body, &tables::IDLE_SETTING, ctx.settings.options.unknown_fields)?;
    let time = canonical::idle_time(&body["idleTimeBeforeShutdown"])?;
    computes::check_rest(computes::find(ctx)?)?;
    let key = scope::key(&ctx.route.id());
    let (virt, writer) = (ctx.now.virt, ctx.caller.client_id.clone());
    let honoured = ctx.hints.not_honoured.as_deref() != Some(IDLE_TIME);
    if let Some(compute) = ctx.state.computes.get_mut(&key) {
        let veil = settle::before_write(compute, virt).and_then(|b| ctx.settings.veil(Some(b), virt));
        if honoured {
            compute.body["properties"]["properties"]["idleTimeBeforeShutdown"] = time;
        }
        (compute.meta.modified, compute.meta.modified_by, compute.meta.veil) = (virt, writer, veil);
    }
    power::watch_idle(ctx.state, &key, virt);
    let shown = render::compute(computes::find(ctx)?, crate::ml::ctx::Lists::Full);
    Ok(Answer::json(200, shown))
}
