//! The kinds of `azureml.dev/v1alpha1`: their types, their rules, their conditions and their field tables.
//!
//! No I/O happens here. Every fact about a field (its path in the manifest and on Azure's wire, how it changes, how it
//! compares, Azure's default, the evidence) stands once, in the table beside its kind; custom resource definitions,
//! admission rules and the reference are generated from it.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod common;
pub mod compute_cluster;
pub mod condition;
pub mod crd;
pub mod duration;
pub mod fields;
pub mod reference;
pub mod registry;
pub mod rules;
pub mod status;
pub mod workspace;

/// API group of every kind.
pub const GROUP: &str = "azureml.dev";
/// API version of every kind.
pub const VERSION: &str = "v1alpha1";
/// `apiVersion` as it stands in a manifest.
pub const API_VERSION: &str = "azureml.dev/v1alpha1";
/// The finalizer that holds an object until its Azure side is as the deletion policy says.
pub const FINALIZER: &str = "azureml.dev/azure-resource";
/// The finalizer that holds a Secret while a Workspace that uses it still has to reach Azure.
pub const SECRET_FINALIZER: &str = "azureml.dev/credential-in-use";
/// Annotation: check this object at once. Its value is echoed in `status.lastHandledReconcileAt`.
pub const RECONCILE_ANNOTATION: &str = "azureml.dev/reconcile-requested-at";
/// Annotation: approves the plan whose hash it holds, under `applyPolicy: Approved`.
pub const APPROVE_ANNOTATION: &str = "azureml.dev/approve";
/// Annotation: allows taking over a resource whose owner tag names this other owner id.
pub const TAKE_OVER_ANNOTATION: &str = "azureml.dev/take-over-from";
/// Label of a Workspace that names the shard of the operator which works on it and on its dependents.
pub const SHARD_LABEL: &str = "azureml.dev/shard";
/// Azure tag: who owns the resource, `<owner-id>/<kind>/<namespace>/<name>`.
pub const OWNER_TAG: &str = "azureml.dev-owner";
/// Azure tag: uid of the owning object. Informative only.
pub const UID_TAG: &str = "azureml.dev-uid";
/// The Azure Machine Learning api-version that the operator speaks.
/// Same schemas in 2025-12-01, 2026-03-01 and 2026-05-01.
pub const ML_API_VERSION: &str = "2025-12-01";
/// The oldest that it speaks where a cloud doesn't offer that one: the field tables tell since when each field is there.
pub const ML_OLDEST_API_VERSION: &str = "2021-07-01";
/// The provider of Azure Machine Learning.
pub const ML_PROVIDER: &str = "Microsoft.MachineLearningServices";
