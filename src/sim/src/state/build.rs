//! The state at the start of a world.

use super::{Agenda, Group, Mark, Meta, Provisioning, Quota, State, Workspace};
use crate::{
    clock::Now,
    dice::Dice,
    resources::operations,
    scope,
    world::{Region, WorkspaceSpec, World},
};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;

impl State {
    /// Build the state that `world` describes, at `now`.
    ///
    /// # Errors
    /// A reference in the world to something that it doesn't declare.
    pub fn build(world: &World, seed: u64, now: Now) -> Result<Self, String> {
        let at = now.virt;
        let mut dice = Dice::new(seed);
        let (token_key, operation_key) = (dice.secret(), dice.secret());
        let mut state = Self {
            operation_certificate: operations::certificate(&operation_key),
            dice,
            token_key,
            operation_key,
            subscriptions: world.subscriptions.iter().map(|s| (s.id.to_ascii_lowercase(), s.clone())).collect(),
            groups: BTreeMap::new(),
            workspaces: BTreeMap::new(),
            buried: BTreeMap::new(),
            computes: BTreeMap::new(),
            hidden: BTreeMap::new(),
            jobs: BTreeMap::new(),
            ghosts: BTreeMap::new(),
            operations: BTreeMap::new(),
            principals: world.principals.iter().map(|p| (p.client_id.to_ascii_lowercase(), p.clone())).collect(),
            roles: world.role_definitions.iter().map(|role| (role.key(), role.clone())).collect(),
            locks: world.locks.clone(),
            policies: world.policies.clone(),
            quotas: BTreeMap::new(),
            caps: BTreeMap::new(),
            retired: Default::default(),
            bad_scripts: BTreeMap::new(),
            agenda: Agenda::default(),
            submitted: 0,
            mark: Mark { seq: 0, real: now.real, virt: now.virt },
        };
        state.add_quotas(world);
        for group in &world.resource_groups {
            let meta = state.born(world, &scope::group_id(&group.subscription, &group.name), &group.location, at)?;
            let tags = if group.tags.is_empty() { Value::Null } else { json!(group.tags) };
            let key = scope::key(&meta.id);
            state.groups.insert(key, Group { meta, tags, state: Provisioning::Succeeded });
        }
        for spec in &world.workspaces {
            state.add_workspace(world, spec, at)?;
        }
        Ok(state)
    }

    fn add_quotas(&mut self, world: &World) {
        for sub in self.subscriptions.keys() {
            for region in &world.regions {
                self.quotas.insert(format!("{sub}/{}", region.name), quota(region));
            }
        }
    }

    fn add_workspace(&mut self, world: &World, spec: &WorkspaceSpec, at: Timestamp) -> Result<(), String> {
        let id = scope::workspace_id(&spec.subscription, &spec.resource_group, &spec.name);
        let group = scope::key(&scope::group_id(&spec.subscription, &spec.resource_group));
        if !self.groups.contains_key(&group) {
            return Err(format!("workspace {}: resource group {} is not declared", spec.name, spec.resource_group));
        }
        let meta = self.born(world, &id, &spec.location, at)?;
        let tenant = &self.subscriptions[&spec.subscription.to_ascii_lowercase()].tenant.clone();
        let identity = spec
            .identity
            .clone()
            .unwrap_or_else(|| json!({"type": "SystemAssigned", "principalId": self.dice.guid(), "tenantId": tenant}));
        let body = json!({
            "tags": if spec.tags.is_empty() { Value::Null } else { json!(spec.tags) },
            "identity": identity,
            "kind": spec.kind.as_deref().unwrap_or("Default"),
            "sku": {"name": "Basic", "tier": "Basic"},
            "properties": if spec.properties.is_object() { spec.properties.clone() } else { json!({}) },
        });
        let workspace_id = self.dice.guid();
        let workspace = Workspace {
            meta,
            state: Provisioning::Succeeded,
            workspace_id,
            body,
            operation: None,
            network: Default::default(),
        };
        self.workspaces.insert(scope::key(&id), workspace);
        Ok(())
    }

    fn born(&mut self, world: &World, id: &str, location: &str, at: Timestamp) -> Result<Meta, String> {
        let sub = scope::subscription(id);
        if !self.subscriptions.contains_key(&sub.to_ascii_lowercase()) {
            return Err(format!("{id}: subscription {sub} is not declared"));
        }
        if !world.regions.iter().any(|r| r.name == location) {
            return Err(format!("{id}: region {location} is not declared"));
        }
        Ok(Meta {
            id: id.into(),
            uid: self.dice.guid(),
            location: location.into(),
            created_by: "azure-sim".into(),
            created: at,
            modified_by: "azure-sim".into(),
            modified: at,
            veil: None,
        })
    }
}

fn quota(region: &Region) -> Quota {
    Quota {
        families: region.quotas.iter().map(|(f, n)| (f.to_ascii_lowercase(), *n)).collect(),
        default_family: region.default_family_quota,
        dedicated: region.dedicated_cores,
        low_priority: region.low_priority_cores,
        computes: region.computes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_world_must_be_consistent() {
        let at = Now { real: Timestamp::UNIX_EPOCH, virt: Timestamp::UNIX_EPOCH };
        let state = State::build(&World::parse(include_str!("../../worlds/demo.yaml")).unwrap(), 1, at).unwrap();
        assert_eq!(state.workspaces.len(), 1);
        let bad = "{subscriptions: [{id: s, tenant: t}], regions: [{name: r}], \
                    workspaces: [{subscription: s, resourceGroup: g, name: w, location: r}]}";
        let refused = State::build(&World::parse(bad).unwrap(), 1, at).unwrap_err();
        assert!(refused.contains("resource group g is not declared"), "{refused}");
    }
}
