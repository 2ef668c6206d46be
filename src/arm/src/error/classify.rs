//! From code and status to kind. A specific code wins wherever it stands in the body;
//! then what the message says; then the status; then codes that only mean "wrong".

use super::parse::{ErrorBody, Form};
use super::{ErrorKind, ThrottleOrigin};

/// What happened. `status` is absent for an error inside of a resource or an operation;
/// `from_cluster` says that the answer carries `x-aml-cluster`, so a provider made it.
pub(super) fn kind(status: Option<u16>, from_cluster: bool, body: &ErrorBody) -> ErrorKind {
    let codes = || std::iter::once(body.code.as_str()).chain(body.details.iter().map(|(code, _)| code.as_str()));
    if codes().any(|code| code.eq_ignore_ascii_case("RetryableError")) {
        return ErrorKind::Throttled(ThrottleOrigin::Object);
    }
    if status == Some(429) {
        return ErrorKind::Throttled(if from_cluster || !is_arm_throttle(&body.code) {
            ThrottleOrigin::Provider
        } else {
            ThrottleOrigin::Arm
        });
    }
    if codes().any(|code| is_version_code(code) && refuses_version(&body.raw_message)) {
        return ErrorKind::ApiVersionUnsupported;
    }
    codes()
        .find_map(|code| by_specific_code(code, body))
        .or_else(|| by_text(body))
        .or_else(|| by_status(status, body))
        .or_else(|| codes().find_map(by_common_code))
        .unwrap_or(ErrorKind::Unknown)
}

/// Codes of a 429 that ARM itself gives; no code at all is ARM's too.
fn is_arm_throttle(code: &str) -> bool {
    matches!(
        code.to_ascii_lowercase().as_str(),
        "" | "429"
            | "toomanyrequests"
            | "subscriptionrequeststhrottled"
            | "tenantrequeststhrottled"
            | "resourcerequeststhrottled"
            | "resourcecollectionrequeststhrottled"
    )
}

/// Codes with which ARM refuses an api-version; some of them refuse other things as well.
fn is_version_code(code: &str) -> bool {
    ["InvalidApiVersionParameter", "NoRegisteredProviderFound", "InvalidResourceType"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(code))
}

/// "… API version 'V' … The supported api-versions are 'A, B'.": whether V is none of those. Where they aren't told, the
/// version itself is what was wrong.
fn refuses_version(message: &str) -> bool {
    let lower = message.to_ascii_lowercase();
    let marker = ["api version '", "api-version '"].iter().find_map(|marker| quoted_after(&lower, marker));
    let supported = ["supported api-versions are '", "supported versions are '"];
    let supported = supported.iter().find_map(|marker| quoted_after(&lower, marker));
    match (marker, supported) {
        (Some(asked), Some(list)) => !list.split(',').any(|version| version.trim() == asked),
        (asked, _) => asked.is_some(),
    }
}

/// Codes that mean one thing wherever they stand.
fn by_specific_code(code: &str, body: &ErrorBody) -> Option<ErrorKind> {
    let message = &body.raw_message;
    let code = code.to_ascii_lowercase();
    Some(match code.as_str() {
        "subscriptionnotfound" | "invalidsubscriptionid" => ErrorKind::SubscriptionNotFound,
        "disabledsubscription" | "subscriptiondisabled" | "readonlydisabledsubscription" => {
            ErrorKind::SubscriptionDisabled
        }
        "missingsubscriptionregistration" | "subscriptionnotregistered" => ErrorKind::ProviderNotRegistered,
        "resourcegroupnotfound" => ErrorKind::ResourceGroupNotFound,
        "parentresourcenotfound" => ErrorKind::ParentNotFound,
        "resourcenotfound" if is_about_itself(&code, body) => ErrorKind::NotFound,
        "authorizationfailed" | "denyassignmentauthorizationfailed" => forbidden(message),
        "linkedauthorizationfailed" | "linkedaccesscheckfailed" => ErrorKind::LinkedAuthorizationFailed {
            action: quoted_after(message, "perform action(s) '").or_else(|| quoted_after(message, "perform action '")),
            scope: quoted_after(message, "linked scope(s) '"),
        },
        "scopelocked" => ErrorKind::ScopeLocked { scope: quoted_after(message, "locked: '") },
        "requestdisallowedbypolicy" | "requestdisallowedbyazure" => {
            ErrorKind::PolicyDenied { policies: body.policies.clone() }
        }
        "invalidauthenticationtoken"
        | "invalidauthenticationtokentenant"
        | "invalidauthenticationtokenaudience"
        | "expiredauthenticationtoken"
        | "authenticationfailed" => ErrorKind::Unauthorized,
        "allocationfailed"
        | "zonalallocationfailed"
        | "overconstrainedallocationrequest"
        | "overconstrainedzonalallocationrequest"
        | "skunotavailable"
        | "outofcapacity"
        | "insufficientcapacity"
        | "notenoughcapacity" => ErrorKind::CapacityUnavailable,
        "supportedvmsizes" | "invalidvmsize" | "vmsizenotsupported" | "unsupportedvmsize" => ErrorKind::InvalidSize,
        "namenotavailable" | "nameunavailable" | "endpointalreadyexists" | "computenamenotavailable" => {
            ErrorKind::NameUnavailable
        }
        "flagmustbesetforrestore" | "softdeletedresourceexists" => ErrorKind::SoftDeleted,
        "anotheroperationinprogress"
        | "operationinprogress"
        | "resourcegroupbeingdeleted"
        | "containergrouptransitioning"
        | "startcomputeinstanceonlyallowedinstoppedstate" => ErrorKind::Conflict,
        // ClusterMinNodesExceedCoreQuota, QuotaExceeded, ClusterCoreQuotaReached, OutOfQuota …
        quota if quota.contains("quota") && !quota.starts_with("invalid") => ErrorKind::QuotaExceeded,
        _ => return None,
    })
}

/// What only the message tells.
fn by_text(body: &ErrorBody) -> Option<ErrorKind> {
    let text = body.message.to_lowercase();
    let has = |part: &str| text.contains(part);
    if (has("soft-deleted") || has("soft deleted")) && (has("purge") || has("recover")) {
        return Some(ErrorKind::SoftDeleted);
    }
    if (has("compute name '") && has("is not available")) || (has("with given name") && has("already exists")) {
        return Some(ErrorKind::NameUnavailable);
    }
    if has("not a supported vm size") {
        return Some(ErrorKind::InvalidSize);
    }
    let names_quota = has("vcpu quota of") || has("exceeding approved") || has("exceeds the quota");
    (names_quota && has("quota")).then_some(ErrorKind::QuotaExceeded)
}

fn by_status(status: Option<u16>, body: &ErrorBody) -> Option<ErrorKind> {
    Some(match status? {
        200..=399 => ErrorKind::BadAnswer,
        400 | 422 => ErrorKind::InvalidRequest,
        401 => ErrorKind::Unauthorized,
        403 => forbidden(&body.raw_message),
        404 if says_not_found(body) => ErrorKind::NotFound,
        // Azure explains its 404s. One without an explanation may be a proxy's or a wrong
        // address, and must not pass for proof that a resource is gone.
        404 if body.form == Form::Other => ErrorKind::BadAnswer,
        408 => ErrorKind::Timeout,
        409 | 412 | 423 => ErrorKind::Conflict,
        500..=599 => ErrorKind::Server,
        _ => return None,
    })
}

/// Codes that say little; they count where no status does.
fn by_common_code(code: &str) -> Option<ErrorKind> {
    let code = code.to_ascii_lowercase();
    Some(match code.as_str() {
        "conflict" | "preconditionfailed" => ErrorKind::Conflict,
        "notfound" => ErrorKind::NotFound,
        "forbidden" => forbidden(""),
        "unauthorized" => ErrorKind::Unauthorized,
        "toomanyrequests" => ErrorKind::Throttled(ThrottleOrigin::Provider),
        "usererror"
        | "badrequest"
        | "badargument"
        | "validationerror"
        | "noregisteredproviderfound"
        | "locationnotavailableforresourcetype" => ErrorKind::InvalidRequest,
        "internalservererror"
        | "internalerror"
        | "serviceerror"
        | "serviceunavailable"
        | "servertimeout"
        | "gatewaytimeout"
        | "systemerror" => ErrorKind::Server,
        invalid if invalid.starts_with("invalid") => ErrorKind::InvalidRequest,
        _ => return None,
    })
}

/// Whether a code is the first one or refines it, so that it speaks of this resource.
fn is_about_itself(code: &str, body: &ErrorBody) -> bool {
    std::iter::once(&body.code).chain(&body.inner_codes).any(|own| own.eq_ignore_ascii_case(code))
}

/// The provider's way: `UserError` with an inner `NotFound`, or a code of its own.
fn says_not_found(body: &ErrorBody) -> bool {
    std::iter::once(&body.code).chain(&body.inner_codes).any(|code| code.to_ascii_lowercase().ends_with("notfound"))
}

/// "… does not have authorization to perform action 'A' over scope 'S' …".
fn forbidden(message: &str) -> ErrorKind {
    ErrorKind::Forbidden {
        action: quoted_after(message, "perform action '"),
        scope: quoted_after(message, "over scope '"),
    }
}

/// The text from after `marker` to the next quote.
fn quoted_after(message: &str, marker: &str) -> Option<String> {
    let (_, rest) = message.split_once(marker)?;
    let (quoted, _) = rest.split_once('\'')?;
    (!quoted.is_empty()).then(|| super::shorten(&super::clean(quoted), 400))
}
