//! What a region tells a subscription: usages, sizes, quotas.

use super::{
    cluster::{Pool, computes_in, cores, size_key},
    ctx::Ctx,
    schema, sizes, tables,
};
use crate::{
    front::{http::Answer, refusal::Outcome, versions},
    scope::{self, ML},
    state::Quota,
    world::Size,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The region of the path, in its own spelling, with the subscription's quotas there.
fn region<'a>(ctx: &'a Ctx<'_>, given: &str) -> Outcome<(&'a str, &'a Quota)> {
    let found = ctx.settings.region(given).and_then(|r| {
        let quota = ctx.state.quotas.get(&format!("{}/{r}", ctx.route.sub.to_ascii_lowercase()))?;
        Some((r, quota))
    });
    found.ok_or_else(|| {
        let (kind, regions) = (ctx.route.kind(), ctx.settings.regions());
        let offered = versions::machine_learning(&ctx.settings.world, kind);
        versions::unregistered(ctx.version, &offered, kind, given, &regions)
    })
}

/// Families that a region offers: label by family.
fn families(ctx: &Ctx<'_>, region: &str) -> BTreeMap<String, String> {
    let sizes = ctx.settings.sizes(region).map(|s| s.values()).into_iter().flatten();
    sizes
        .map(|s| {
            (s.family.clone(), format!("Standard {} Family Cluster Dedicated vCPUs", sizes::short_family(&s.family)))
        })
        .collect()
}

/// GET usages.
///
/// # Errors
/// An unknown region.
pub fn usages(ctx: &Ctx<'_>, given: &str) -> Outcome {
    let (region, quota) = region(ctx, given)?;
    let sub = &ctx.route.sub;
    let base = format!("/subscriptions/{sub}/providers/{ML}/locations/{region}/usages");
    let item = |label: &str, kind: &str, used: i64, limit: i64| {
        json!({
            "id": format!("{base}/{}", label.replace(' ', "_")), "type": format!("{ML}/{kind}/usages"), "unit": "Count",
            "currentValue": used, "limit": limit, "name": {"value": label, "localizedValue": label},
            "amlWorkspaceLocation": region,
        })
    };
    let used = |pool: Pool<'_>| cores(ctx.settings, ctx.state, sub, region, pool);
    let all_families: i64 = families(ctx, region).keys().map(|f| quota.family(f)).sum();
    let mut value = vec![
        item("Clusters", "totalCores", computes_in(ctx.state, sub, region), quota.computes),
        item(
            "Total Cluster Dedicated Regional vCPUs",
            "dedicatedCores",
            used(Pool::Dedicated),
            quota.dedicated.unwrap_or(all_families),
        ),
        item(
            "Total Cluster LowPriority Regional vCPUs",
            "lowPriorityCores",
            used(Pool::LowPriority),
            quota.low_priority,
        ),
    ];
    for (family, label) in families(ctx, region) {
        value.push(item(&label, "vmFamily", used(Pool::Family(&family)), quota.family(&family)));
    }
    for workspace in workspaces_in(ctx, region) {
        for (family, label) in families(ctx, region) {
            let Some(cap) = ctx.state.caps.get(&workspace).and_then(|c| c.get(&family.to_ascii_lowercase())) else {
                continue;
            };
            let mut one = item(&label, "workspaces/dedicatedCores", used(Pool::Workspace(&workspace, &family)), *cap);
            one["id"] = json!(format!("{}/quotas/{family}", display(ctx, &workspace)));
            value.push(one);
        }
    }
    Ok(Answer::json(200, json!({"value": value})))
}

fn workspaces_in(ctx: &Ctx<'_>, region: &str) -> Vec<String> {
    let root = format!("/subscriptions/{}", ctx.route.sub.to_ascii_lowercase());
    scope::under(&ctx.state.workspaces, &root)
        .filter(|(_, w)| w.meta.location == region)
        .map(|(key, _)| key.clone())
        .collect()
}

fn display(ctx: &Ctx<'_>, workspace: &str) -> String {
    ctx.state.workspaces.get(workspace).map(|w| w.meta.id.clone()).unwrap_or_default()
}

/// GET vmSizes. A size that is listed may still be refused for a cluster.
///
/// # Errors
/// An unknown region.
pub fn vm_sizes(ctx: &Ctx<'_>, given: &str) -> Outcome {
    let (region, _) = region(ctx, given)?;
    let offered = |size: &&Size| !ctx.state.retired.contains(&size_key(region, &size.name));
    let value: Vec<Value> =
        ctx.settings.sizes(region).map(|s| s.values().filter(offered).map(sizes::listed).collect()).unwrap_or_default();
    Ok(Answer::json(200, json!({"value": value})))
}

/// GET quotas: what each workspace may use of each family.
///
/// # Errors
/// An unknown region.
pub fn quotas(ctx: &Ctx<'_>, given: &str) -> Outcome {
    let (region, quota) = region(ctx, given)?;
    let mut value = Vec::new();
    for workspace in workspaces_in(ctx, region) {
        for (family, label) in families(ctx, region) {
            let cap = ctx.state.caps.get(&workspace).and_then(|c| c.get(&family.to_ascii_lowercase()));
            value.push(json!({
                "id": format!("{}/quotas/{family}", display(ctx, &workspace)),
                "amlWorkspaceLocation": region,
                "type": format!("{ML}/workspaces/dedicatedCores/quotas"), "unit": "Count",
                "limit": cap.copied().unwrap_or_else(|| quota.family(&family)),
                "name": {"value": family, "localizedValue": label},
            }));
        }
    }
    Ok(Answer::json(200, json!({"value": value})))
}

/// POST updateQuotas: 200 with a status for each item. A limit of -1 lifts the cap.
///
/// # Errors
/// An unknown region, or a body that isn't understood.
pub fn update_quotas(ctx: &mut Ctx<'_>, given: &str) -> Outcome {
    let name = region(ctx, given)?.0.to_string();
    let mut body = ctx.body()?;
    schema::check(&mut body, &tables::QUOTA_UPDATE, ctx.settings.options.unknown_fields)?;
    let items = body["value"].as_array().cloned().unwrap_or_default();
    let value: Vec<Value> = items
        .iter()
        .map(|item| {
            let limit = item["limit"].as_i64().unwrap_or(0);
            let status = set_cap(ctx, &name, item["id"].as_str().unwrap_or_default(), limit);
            json!({"id": item["id"], "type": item["type"], "limit": limit, "unit": "Count", "status": status})
        })
        .collect();
    Ok(Answer::json(200, json!({"value": value})))
}

/// Set one cap; the item's status.
fn set_cap(ctx: &mut Ctx<'_>, region: &str, id: &str, limit: i64) -> &'static str {
    let key = scope::key(id);
    let (workspace, family) = (scope::up(&key, 2).to_string(), scope::leaf(&key).to_string());
    let sub = ctx.route.sub.to_ascii_lowercase();
    let Some(quota) = ctx.state.quotas.get(&format!("{sub}/{region}")) else { return "OperationNotEnabledForRegion" };
    let known = families(ctx, region).keys().any(|f| f.eq_ignore_ascii_case(&family));
    let mine = workspaces_in(ctx, region).contains(&workspace);
    if !known || !mine {
        return if mine { "InvalidVMFamilyName" } else { "Failure" };
    }
    if limit > quota.family(&family) {
        return "InvalidQuotaExceedsSubscriptionLimit";
    }
    let minimum: i64 = scope::under(&ctx.state.computes, &workspace)
        .map(|(_, c)| c.shape())
        .filter(|s| !s.low_priority && s.region == region)
        .filter_map(|s| {
            ctx.settings
                .size(region, &s.size)
                .filter(|z| z.family.eq_ignore_ascii_case(&family))
                .map(|z| z.vcpus * s.min)
        })
        .sum();
    if (0..minimum).contains(&limit) {
        return "InvalidQuotaBelowClusterMinimum";
    }
    let caps = ctx.state.caps.entry(workspace).or_default();
    if limit < 0 {
        caps.remove(&family);
    } else {
        caps.insert(family, limit);
    }
    "Success"
}
