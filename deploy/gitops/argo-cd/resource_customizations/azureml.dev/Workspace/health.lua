-- What a person has to see to though the operator tries again by itself. Any other reason passes without help, or is
-- mended by another object of the same commit that has a health of its own.
local needs_a_person = {
  AccessToLinkedResourceDenied = true,
  ApiVersionNotOffered = true,
  CapacityUnavailable = true,
  CredentialMissing = true,
  CredentialRejected = true,
  DeletionProtected = true,
  FieldNotSupported = true,
  Forbidden = true,
  InvalidManifest = true,
  InvalidName = true,
  KubernetesForbidden = true,
  NameClaimed = true,
  NameUnavailable = true,
  NotInAzure = true,
  NotOwned = true,
  OperationFailed = true,
  OperationOverdue = true,
  OwnedByAnother = true,
  PolicyDenied = true,
  ProvisioningFailed = true,
  QuotaExceeded = true,
  RejectedByAzure = true,
  ReplacementRequired = true,
  ScopeLocked = true,
  SecretWouldBeLost = true,
  SubscriptionNotFound = true,
  Undecodable = true,
  VmSizeNotAvailable = true,
  WorkspaceChanged = true,
  WorkspaceMissingInAzure = true,
  WorkspaceNotAllowed = true,
}

local conditions = {}
if obj.status ~= nil and obj.status.conditions ~= nil then
  for _, condition in ipairs(obj.status.conditions) do
    conditions[condition.type] = condition
  end
end

local function holds(kind)
  return conditions[kind] ~= nil and conditions[kind].status == "True"
end

-- A condition in words: its reason can be looked up, its message tells the case.
local function words(condition)
  if condition.message == nil or condition.message == "" then
    return condition.reason
  end
  return condition.reason .. ": " .. condition.message
end

local ready = conditions.Ready
if ready == nil then
  return {status = "Progressing", message = "azureml-operator has not looked at it yet"}
end

local generation = obj.metadata.generation
if generation ~= nil and (obj.status.observedGeneration ~= generation or ready.observedGeneration ~= generation) then
  return {status = "Progressing", message = "azureml-operator has not acted on this change yet"}
end

for _, hold in ipairs({"Paused", "AwaitingApproval"}) do
  if holds(hold) then
    local message = words(conditions[hold])
    if ready.status == "False" then
      message = message .. "; " .. words(ready)
    end
    return {status = "Suspended", message = message}
  end
end

if holds("Stalled") then
  return {status = "Degraded", message = words(conditions.Stalled)}
end

if obj.metadata.deletionTimestamp ~= nil then
  return {status = "Progressing", message = words(ready)}
end

if ready.status == "True" then
  local in_sync = conditions.InSync
  if in_sync ~= nil and in_sync.status ~= "True" then
    return {status = "Healthy", message = words(in_sync)}
  end
  return {status = "Healthy", message = ready.message}
end

if ready.status == "False" and needs_a_person[ready.reason] then
  return {status = "Degraded", message = words(ready)}
end
return {status = "Progressing", message = words(ready)}
