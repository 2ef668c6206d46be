//! Sentences for people: what happened, and what to do.

use super::{ArmError, ErrorKind, ThrottleOrigin};

/// What happened, as the start of a sentence.
pub(super) fn what_happened(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Network => "Azure could not be reached",
        ErrorKind::Timeout => "Azure did not answer in time",
        ErrorKind::BadAnswer => "Azure's answer could not be read",
        ErrorKind::Server => "Azure failed",
        ErrorKind::Throttled(ThrottleOrigin::Arm) => "Azure Resource Manager throttles this principal",
        ErrorKind::Throttled(ThrottleOrigin::Provider) => "the resource provider throttles",
        ErrorKind::Throttled(ThrottleOrigin::Object) => "the resource isn't ready for this yet",
        ErrorKind::Unauthorized => "Azure did not accept the token",
        ErrorKind::Forbidden { .. } => "the principal lacks a permission",
        ErrorKind::CredentialRejected => "the credential was rejected",
        ErrorKind::SubscriptionNotFound => "the subscription was not found",
        ErrorKind::SubscriptionDisabled => "the subscription is disabled",
        ErrorKind::ProviderNotRegistered => "the resource provider is not registered",
        ErrorKind::ResourceGroupNotFound => "the resource group was not found",
        ErrorKind::ParentNotFound => "the parent resource was not found",
        ErrorKind::NotFound => "the resource was not found",
        ErrorKind::Conflict => "Azure is busy with the resource",
        ErrorKind::ScopeLocked { .. } => "a lock forbids it",
        ErrorKind::PolicyDenied { .. } => "a policy forbids it",
        ErrorKind::LinkedAuthorizationFailed { .. } => "the principal lacks a permission on a linked resource",
        ErrorKind::QuotaExceeded => "a quota is used up",
        ErrorKind::CapacityUnavailable => "Azure has no capacity for it",
        ErrorKind::InvalidRequest => "Azure refused the request",
        ErrorKind::ApiVersionUnsupported => "this cloud does not offer the api-version",
        ErrorKind::InvalidSize => "the VM size is not accepted",
        ErrorKind::NameUnavailable => "the name is not available",
        ErrorKind::SoftDeleted => "a deleted resource still holds the name",
        ErrorKind::ForeignUrl => "Azure pointed to a host that is not the configured one",
        ErrorKind::Unknown => "Azure reported an error",
    }
}

/// What a person should do.
pub(super) fn advice(error: &ArmError) -> String {
    match &error.kind {
        ErrorKind::Network => network_advice(&error.message).into(),
        ErrorKind::CredentialRejected => credential_advice(&error.code).into(),
        ErrorKind::Forbidden { action, scope } => grant(action.as_deref(), scope.as_deref()),
        ErrorKind::LinkedAuthorizationFailed { action, scope } => {
            grant(action.as_deref(), scope.as_deref().or(Some("the linked resource")))
        }
        ErrorKind::ScopeLocked { scope } => format!(
            "Remove the management lock on {}, or leave the resource as it is.",
            scope.as_deref().unwrap_or("the resource or its group")
        ),
        ErrorKind::PolicyDenied { policies } if !policies.is_empty() => {
            format!("Change the manifest so that it complies with {}, or ask for an exemption.", policies.join(", "))
        }
        other => fixed_advice(other).into(),
    }
}

fn grant(action: Option<&str>, scope: Option<&str>) -> String {
    let action = action.map_or("the missing action".to_owned(), |a| format!("the action {a}"));
    let scope = scope.unwrap_or("the resource group");
    format!("Grant the principal a role with {action} on {scope}; a new role takes some minutes to hold.")
}

fn network_advice(message: &str) -> &'static str {
    if message.contains("certificate") {
        "Check which certificate authority signed the endpoint's certificate; SSL_CERT_FILE names a file with private ones."
    } else {
        "Check the network, DNS, HTTPS_PROXY and NO_PROXY between here and Azure; it is tried again."
    }
}

/// By the code that Entra gives; see "Microsoft Entra authentication and authorization
/// error codes" in Microsoft's documentation.
fn credential_advice(code: &str) -> &'static str {
    match code.trim_start_matches("AADSTS") {
        "7000215" => "Put the client secret's value (not its id) into the Secret.",
        "7000222" => "The client secret has expired: make a new one and put it into the Secret.",
        "700016" | "7000218" => "Check the client id and that the application exists in this tenant.",
        "90002" | "900023" | "900021" => "Check the tenant id and the cloud (AZURE_AUTHORITY_HOST).",
        "70021" | "700211" | "700212" | "700213" | "7002138" => {
            "Add a federated credential to the application whose issuer, subject and audience are those of this service account's token."
        }
        "700024" => {
            "The assertion isn't in its time: check that the clocks agree, and that a federated token's volume is renewed."
        }
        "700027" => {
            "Register this very certificate on the application, or put the registered one, while it holds, in its place."
        }
        // The message says what to do.
        "ClientCertificateExpired" | "ClientCertificateUnusable" => "",
        "7000112" | "7000113" => "The application is disabled in this tenant: enable it.",
        "500011" | "65001" => "Check AZURE_RESOURCE_MANAGER_AUDIENCE: the tenant doesn't know that audience.",
        "53003" | "530003" => {
            "A conditional access policy forbids the sign-in from here: exclude this principal or its network."
        }
        "FederatedTokenUnreadable" => "Check that the service account token is mounted at AZURE_FEDERATED_TOKEN_FILE.",
        "AzureCliFailed" => "Log in with `az login` as the user that this runs as; `az` must be on its PATH.",
        "IdentityNotAssigned" => {
            "Assign that managed identity to this machine, or set AZURE_CLIENT_ID to one that is assigned."
        }
        _ => "Check tenant id, client id and secret (or certificate, or federation) of the credential.",
    }
}

fn fixed_advice(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Timeout | ErrorKind::BadAnswer | ErrorKind::Server => {
            "Nothing to do: it is tried again; see https://status.azure.com if it lasts."
        }
        ErrorKind::Throttled(ThrottleOrigin::Arm) => {
            "Nothing to do: it is tried again; if others use this principal, give the operator its own or lower --arm-budget-share."
        }
        ErrorKind::Throttled(ThrottleOrigin::Provider | ThrottleOrigin::Object) | ErrorKind::Conflict => {
            "Nothing to do: it is tried again when Azure is ready."
        }
        ErrorKind::Unauthorized => {
            "Check that the credential belongs to the tenant of this subscription; a new token is asked for."
        }
        ErrorKind::SubscriptionNotFound => {
            "Check the subscription id, and give the principal a role in that subscription."
        }
        ErrorKind::SubscriptionDisabled => "Have the subscription enabled again, or use another one.",
        ErrorKind::ProviderNotRegistered => {
            "Register the resource provider in the subscription (az provider register)."
        }
        ErrorKind::ResourceGroupNotFound => "Create the resource group, or correct its name.",
        ErrorKind::ParentNotFound => "Create the resource above this one, or correct its name.",
        ErrorKind::NotFound => "Check the name; what refers to it waits until it exists.",
        ErrorKind::PolicyDenied { .. } => {
            "Change the manifest so that it complies with the policy, or ask for an exemption."
        }
        ErrorKind::QuotaExceeded => "Ask for more quota in that region, free some, or use fewer or smaller nodes.",
        ErrorKind::CapacityUnavailable => "Wait, or use another VM size, region or priority.",
        ErrorKind::InvalidRequest => "Correct the manifest as the message says.",
        ErrorKind::ApiVersionUnsupported => {
            "Use a release of the operator that speaks a version which this cloud offers."
        }
        ErrorKind::InvalidSize => "Use a VM size that Azure Machine Learning offers in that region.",
        ErrorKind::NameUnavailable => "Choose another Azure name.",
        ErrorKind::SoftDeleted => "Recover or purge the deleted resource, or choose another name.",
        ErrorKind::ForeignUrl => "Check AZURE_RESOURCE_MANAGER_ENDPOINT, and that no proxy rewrites Azure's answers.",
        _ => "It is tried again; look the code up if it lasts.",
    }
}
