//! Resource groups.

use super::operations;
use crate::{
    front::{
        governance,
        http::Answer,
        refusal::{Outcome, Refusal},
        roles::Rights,
    },
    ml::{
        ctx::{Ctx, bad_content},
        listing, render,
    },
    scope,
    state::{Group, Meta, Provisioning, Verb},
};
use serde_json::{Value, json};

/// GET of a subscription's groups that the caller may see.
///
/// # Errors
/// A continuation token that isn't ours.
pub fn list(ctx: &Ctx<'_>) -> Outcome {
    let root = format!("/subscriptions/{}/resourcegroups", ctx.route.sub.to_ascii_lowercase());
    let action = "Microsoft.Resources/subscriptions/resourceGroups/read";
    let keys = scope::under(&ctx.state.groups, &root).map(|(key, _)| key);
    let rights = Rights::of(ctx.state, ctx.caller);
    let visible = keys.filter(|key| rights.allow(action, key)).cloned().collect();
    listing::page(ctx, visible, |key| ctx.state.groups.get(key).map(render::group))
}

/// GET or HEAD of one.
///
/// # Errors
/// 404 ResourceGroupNotFound.
pub fn get(ctx: &Ctx<'_>) -> Outcome {
    let group = ctx.state.groups.get(&scope::key(&ctx.route.id()));
    match (ctx.req.method.as_str(), group) {
        ("HEAD", Some(_)) => Ok(Answer::empty(204)),
        ("HEAD", None) => Ok(Answer::empty(404)),
        (_, Some(group)) => Ok(Answer::json(200, render::group(group))),
        (_, None) => Err(Refusal::no_group(&ctx.route.group)),
    }
}

/// PUT.
///
/// # Errors
/// A body without a known location, another location than before, or a policy.
pub fn put(ctx: &mut Ctx<'_>) -> Outcome {
    let id = ctx.route.id();
    let key = scope::key(&id);
    let mut body = ctx.body()?;
    governance::apply_policies(
        &ctx.state.policies,
        &id,
        "Microsoft.Resources/subscriptions/resourceGroups",
        &mut body,
    )?;
    let given = body["location"].as_str().ok_or_else(|| {
        Refusal::arm(400, "LocationRequired", "The location property is required for this definition.")
    })?;
    let location = ctx.settings.region(given).map(str::to_string).ok_or_else(|| {
        Refusal::arm(
            400,
            "LocationNotAvailableForResourceGroup",
            format!(
                "The provided location '{given}' is not available for resource group. List of available regions is '{}'.",
                ctx.settings.regions()
            ),
        )
    })?;
    let tags = tags(&body)?;
    let (virt, writer) = (ctx.now.virt, ctx.caller.client_id.clone());
    if let Some(group) = ctx.state.groups.get_mut(&key) {
        if group.meta.location != location {
            return Err(Refusal::arm(
                409,
                "InvalidResourceGroupLocation",
                format!(
                    "Invalid resource group location '{location}'. The Resource group already exists in location '{}'.",
                    group.meta.location
                ),
            ));
        }
        check_not_deleting(group)?;
        group.tags = tags;
        group.meta.modified = virt;
        return Ok(Answer::json(200, render::group(group)));
    }
    let meta = Meta {
        id,
        uid: ctx.state.dice.guid(),
        location,
        created_by: writer.clone(),
        created: virt,
        modified_by: writer,
        modified: virt,
        veil: None,
    };
    let group = Group { meta, tags, state: Provisioning::Succeeded };
    let shown = render::group(&group);
    ctx.state.groups.insert(key, group);
    Ok(Answer::json(201, shown))
}

/// PATCH: tags.
///
/// # Errors
/// 404, or a body that isn't understood.
pub fn patch(ctx: &mut Ctx<'_>) -> Outcome {
    let body = ctx.body()?;
    let tags = tags(&body)?;
    let missing = Refusal::no_group(&ctx.route.group);
    let group = ctx.state.groups.get_mut(&scope::key(&ctx.route.id())).ok_or(missing)?;
    check_not_deleting(group)?;
    if !tags.is_null() {
        group.tags = tags;
    }
    Ok(Answer::json(200, render::group(group)))
}

fn tags(body: &Value) -> Outcome<Value> {
    match &body["tags"] {
        Value::Null => Ok(Value::Null),
        Value::Object(map) if map.values().all(Value::is_string) => Ok(json!(map)),
        _ => {
            Err(bad_content("Error converting value to type 'Dictionary`2[System.String,System.String]'. Path 'tags'"))
        }
    }
}

fn check_not_deleting(group: &Group) -> Outcome<()> {
    if group.state != Provisioning::Deleting {
        return Ok(());
    }
    Err(Refusal::arm(
        409,
        "ResourceGroupBeingDeleted",
        format!(
            "The resource group '{}' is in deprovisioning state and cannot perform this operation.",
            group.meta.name()
        ),
    ))
}

/// DELETE with all that is in it.
///
/// # Errors
/// 404 when there is none.
pub fn delete(ctx: &mut Ctx<'_>) -> Outcome {
    let id = ctx.route.id();
    let missing = Refusal::no_group(&ctx.route.group);
    let group = ctx.state.groups.get_mut(&scope::key(&id)).ok_or(missing)?;
    let (uid, location) = (group.meta.uid.clone(), group.meta.location.clone());
    group.state = Provisioning::Deleting;
    let guid = ctx.begin(Verb::DeleteGroup, &id, &uid, &location, ctx.settings.world.timings.group_delete.0);
    Ok(operations::group_location(ctx, Answer::empty(202), &guid))
}
