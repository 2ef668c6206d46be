package contract

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	ml "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/machinelearning/armmachinelearning/v4"
)

// golden is the client's JSON of everyField, with which Rust tests compare what the operator knows.
const golden = "testdata/cluster.json"

// everyField is a cluster with every field set that a client may write.
func everyField() ml.ComputeResource {
	return ml.ComputeResource{
		Location: to.Ptr(region),
		Tags:     map[string]*string{"team": to.Ptr("vision"), "empty": to.Ptr("")},
		SKU: &ml.SKU{
			Name: to.Ptr("Basic"), Tier: to.Ptr(ml.SKUTierBasic), Size: to.Ptr("1"), Family: to.Ptr("A"), Capacity: to.Ptr(int32(1)),
		},
		Identity: &ml.ManagedServiceIdentity{
			Type: to.Ptr(ml.ManagedServiceIdentityTypeUserAssigned),
			UserAssignedIdentities: map[string]*ml.UserAssignedIdentity{
				outside("Microsoft.ManagedIdentity/userAssignedIdentities/trainer"): {},
			},
		},
		Properties: &ml.AmlCompute{
			ComputeType:      to.Ptr(ml.ComputeTypeAmlCompute),
			ComputeLocation:  to.Ptr(region),
			Description:      to.Ptr("every field"),
			DisableLocalAuth: to.Ptr(true),
			ResourceID:       to.Ptr(outside("Microsoft.BatchAI/clusters/every")),
			Properties: &ml.AmlComputeProperties{
				OSType:              to.Ptr(ml.OsTypeLinux),
				VMSize:              to.Ptr("Standard_DS3_v2"),
				VMPriority:          to.Ptr(ml.VMPriorityLowPriority),
				VirtualMachineImage: &ml.VirtualMachineImage{ID: to.Ptr(outside("Microsoft.Compute/images/every"))},
				IsolatedNetwork:     to.Ptr(false),
				ScaleSettings:       scale(0, 3, "PT2M"),
				UserAccountCredentials: &ml.UserAccountCredentials{
					AdminUserName:         to.Ptr("admin1"),
					AdminUserPassword:     to.Ptr("contract-only-not-a-secret"),
					AdminUserSSHPublicKey: to.Ptr("ssh-ed25519 AAAA contract"),
				},
				Subnet:                      &ml.ResourceID{ID: to.Ptr(outside("Microsoft.Network/virtualNetworks/net/subnets/nodes"))},
				RemoteLoginPortPublicAccess: to.Ptr(ml.RemoteLoginPortPublicAccessEnabled),
				EnableNodePublicIP:          to.Ptr(false),
				PropertyBag:                 map[string]any{"note": "kept"},
			},
		},
	}
}

// Fields that only Azure writes; the client's models say so in their comments.
var readOnly = map[string]bool{
	"ComputeResource.ID": true, "ComputeResource.Name": true, "ComputeResource.SystemData": true, "ComputeResource.Type": true,
	"ManagedServiceIdentity.PrincipalID": true, "ManagedServiceIdentity.TenantID": true,
	"UserAssignedIdentity.ClientID": true, "UserAssignedIdentity.PrincipalID": true,
	"AmlCompute.CreatedOn": true, "AmlCompute.IsAttachedCompute": true, "AmlCompute.ModifiedOn": true,
	"AmlCompute.ProvisioningErrors": true, "AmlCompute.ProvisioningState": true,
	"AmlComputeProperties.AllocationState": true, "AmlComputeProperties.AllocationStateTransitionTime": true,
	"AmlComputeProperties.CurrentNodeCount": true, "AmlComputeProperties.Errors": true,
	"AmlComputeProperties.NodeStateCounts": true, "AmlComputeProperties.TargetNodeCount": true,
	"ComputeInstance.CreatedOn": true, "ComputeInstance.IsAttachedCompute": true, "ComputeInstance.ModifiedOn": true,
	"ComputeInstance.ProvisioningErrors": true, "ComputeInstance.ProvisioningState": true,
	"ComputeInstanceProperties.Applications": true, "ComputeInstanceProperties.ConnectivityEndpoints": true,
	"ComputeInstanceProperties.Containers": true, "ComputeInstanceProperties.CreatedBy": true,
	"ComputeInstanceProperties.DataDisks": true, "ComputeInstanceProperties.DataMounts": true,
	"ComputeInstanceProperties.Errors": true, "ComputeInstanceProperties.LastOperation": true,
	"ComputeInstanceProperties.OSImageMetadata": true, "ComputeInstanceProperties.State": true,
	"ComputeInstanceProperties.Versions": true, "ComputeInstanceSSHSettings.AdminUserName": true,
	"ComputeInstanceSSHSettings.SSHPort": true, "ComputeStartStopSchedule.ID": true,
	"ComputeStartStopSchedule.ProvisioningStatus": true,
	"Workspace.ID": true, "Workspace.Name": true, "Workspace.SystemData": true, "Workspace.Type": true,
	"WorkspaceProperties.MlFlowTrackingURI": true, "WorkspaceProperties.NotebookInfo": true,
	"WorkspaceProperties.PrivateEndpointConnections": true, "WorkspaceProperties.PrivateLinkCount": true,
	"WorkspaceProperties.ProvisioningState": true, "WorkspaceProperties.ServiceProvisionedResourceGroup": true,
	"WorkspaceProperties.StorageHnsEnabled": true, "WorkspaceProperties.TenantID": true, "WorkspaceProperties.WorkspaceID": true,
	"ManagedNetworkSettings.NetworkID": true,
	"CommandJob.Parameters":            true, "CommandJob.Status": true,
	"JobService.ErrorMessage": true, "JobService.Status": true,
}

// unset tells the writable fields that are missing in a body: none, unless a newer client has more of them.
func unset(value reflect.Value) []string {
	switch value.Kind() {
	case reflect.Pointer, reflect.Interface:
		return unset(value.Elem())
	case reflect.Slice:
		var missing []string
		for i := range value.Len() {
			missing = append(missing, unset(value.Index(i))...)
		}
		return missing
	case reflect.Map:
		var missing []string
		for _, key := range value.MapKeys() {
			missing = append(missing, unset(value.MapIndex(key))...)
		}
		return missing
	case reflect.Struct:
		var missing []string
		for i := range value.NumField() {
			name := value.Type().Name() + "." + value.Type().Field(i).Name
			switch {
			case readOnly[name]:
			case value.Field(i).IsNil():
				missing = append(missing, name)
			default:
				missing = append(missing, unset(value.Field(i))...)
			}
		}
		return missing
	default:
		return nil
	}
}

func TestEveryFieldIsSetAndWrittenDown(t *testing.T) {
	if missing := unset(reflect.ValueOf(everyField())); len(missing) > 0 {
		t.Errorf("everyField leaves out %s", strings.Join(missing, ", "))
	}
	var shown bytes.Buffer
	must(t, json.Indent(&shown, []byte(text(t, everyField())), "", "  "))
	shown.WriteByte('\n')
	if os.Getenv("AZUREML_CONTRACT") == "write" {
		must(t, os.WriteFile(golden, shown.Bytes(), 0o644))
	}
	kept, err := os.ReadFile(golden)
	must(t, err)
	if !bytes.Equal(kept, shown.Bytes()) {
		t.Errorf("%s isn't what the client writes (AZUREML_CONTRACT=write writes it anew):\n%s", golden, shown.String())
	}
}

// text is the client's JSON of a model.
func text(t *testing.T, model any) string {
	t.Helper()
	encoded, err := json.Marshal(model)
	must(t, err)
	return string(encoded)
}

// holds fails where an answer lacks something of what was written.
func holds(t *testing.T, what string, got, wanted any) {
	t.Helper()
	var answer, body any
	must(t, json.Unmarshal([]byte(text(t, got)), &answer))
	must(t, json.Unmarshal([]byte(text(t, wanted)), &body))
	within(t, what, answer, body)
}

func within(t *testing.T, path string, got, wanted any) {
	t.Helper()
	if list, isList := wanted.([]any); isList {
		items, _ := got.([]any)
		equal(t, path+" has items", len(items), len(list))
		for i := range min(len(items), len(list)) {
			within(t, fmt.Sprintf("%s.%d", path, i), items[i], list[i])
		}
		return
	}
	fields, isObject := wanted.(map[string]any)
	if !isObject {
		equal(t, path, text(t, got), text(t, wanted))
		return
	}
	have, _ := got.(map[string]any)
	for key, value := range fields {
		within(t, path+"."+key, have[key], value)
	}
}

// compareEveryField holds what Azure answers against what was set.
func compareEveryField(t *testing.T, wanted, got ml.ComputeResource) {
	t.Helper()
	same(t, "id", got.ID, computeID("full"))
	same(t, "name", got.Name, "full")
	same(t, "type", got.Type, "Microsoft.MachineLearningServices/workspaces/computes")
	same(t, "location", got.Location, region)
	equal(t, "tags", text(t, got.Tags), text(t, wanted.Tags))
	equal(t, "sku", text(t, got.SKU), text(t, wanted.SKU))
	same(t, "identity", got.Identity.Type, ml.ManagedServiceIdentityTypeUserAssigned)
	for id := range wanted.Identity.UserAssignedIdentities {
		user := got.Identity.UserAssignedIdentities[id]
		if user == nil || user.ClientID == nil || user.PrincipalID == nil {
			t.Errorf("%s has no ids: %+v", id, user)
		}
	}
	if data := got.SystemData; data == nil || data.CreatedAt == nil || data.LastModifiedAt == nil {
		t.Errorf("system data: %+v", data)
	} else {
		same(t, "made by", data.CreatedBy, writer)
		same(t, "kind of maker", data.CreatedByType, ml.CreatedByTypeApplication)
	}

	outer, inner := aml(t, got)
	set, in := aml(t, wanted)
	same(t, "state", outer.ProvisioningState, ml.ProvisioningStateSucceeded)
	same(t, "location of the nodes", outer.ComputeLocation, *set.ComputeLocation)
	same(t, "description", outer.Description, *set.Description)
	same(t, "local authentication off", outer.DisableLocalAuth, *set.DisableLocalAuth)
	same(t, "underlying resource", outer.ResourceID, *set.ResourceID)
	same(t, "attached", outer.IsAttachedCompute, false)
	if outer.CreatedOn == nil || outer.CreatedOn.IsZero() || outer.ModifiedOn == nil || outer.ModifiedOn.IsZero() {
		t.Errorf("times: %v, %v", outer.CreatedOn, outer.ModifiedOn)
	}
	equal(t, "errors", len(outer.ProvisioningErrors), 0)

	same(t, "operating system", inner.OSType, *in.OSType)
	// The service answers in upper case.
	same(t, "size", inner.VMSize, strings.ToUpper(*in.VMSize))
	same(t, "priority", inner.VMPriority, *in.VMPriority)
	same(t, "isolated network", inner.IsolatedNetwork, *in.IsolatedNetwork)
	same(t, "remote login", inner.RemoteLoginPortPublicAccess, *in.RemoteLoginPortPublicAccess)
	same(t, "public addresses", inner.EnableNodePublicIP, *in.EnableNodePublicIP)
	for what, pair := range map[string][2]any{
		"scale settings": {inner.ScaleSettings, in.ScaleSettings},
		"subnet":         {inner.Subnet, in.Subnet},
		"image":          {inner.VirtualMachineImage, in.VirtualMachineImage},
		"property bag":   {inner.PropertyBag, in.PropertyBag},
	} {
		equal(t, what, text(t, pair[0]), text(t, pair[1]))
	}
	same(t, "administrator", inner.UserAccountCredentials.AdminUserName, *in.UserAccountCredentials.AdminUserName)
	if inner.UserAccountCredentials.AdminUserPassword != nil || inner.UserAccountCredentials.AdminUserSSHPublicKey != nil {
		t.Error("a secret came back")
	}
	same(t, "nodes", inner.CurrentNodeCount, 0)
	same(t, "idle nodes", inner.NodeStateCounts.IdleNodeCount, 0)
	same(t, "allocation", inner.AllocationState, ml.AllocationStateSteady)
}
