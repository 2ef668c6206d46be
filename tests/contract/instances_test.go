package contract

import (
	"reflect"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	ml "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/machinelearning/armmachinelearning/v4"
)

// everyInstanceField is an instance with every field set that the client may write, those left out that exclude others: a
// key beside an assigned user is refused.
func everyInstanceField() ml.ComputeResource {
	hours := func(hour int32) *ml.ComputeRecurrenceSchedule {
		return &ml.ComputeRecurrenceSchedule{
			Hours: []*int32{to.Ptr(hour)}, Minutes: []*int32{to.Ptr(int32(30))}, MonthDays: []*int32{to.Ptr(int32(1))},
			WeekDays: []*ml.ComputeWeekDay{to.Ptr(ml.ComputeWeekDayMonday)},
		}
	}
	script := func(data string) *ml.ScriptReference {
		return &ml.ScriptReference{
			ScriptArguments: to.Ptr("--quick"), ScriptData: to.Ptr(data), ScriptSource: to.Ptr("inline"), Timeout: to.Ptr("10m"),
		}
	}
	return ml.ComputeResource{
		Location: to.Ptr(region),
		Tags:     map[string]*string{"team": to.Ptr("vision")},
		Identity: &ml.ManagedServiceIdentity{Type: to.Ptr(ml.ManagedServiceIdentityTypeSystemAssigned)},
		Properties: &ml.ComputeInstance{
			ComputeType:      to.Ptr(ml.ComputeTypeComputeInstance),
			ComputeLocation:  to.Ptr(region),
			Description:      to.Ptr("every field"),
			DisableLocalAuth: to.Ptr(true),
			Properties: &ml.ComputeInstanceProperties{
				ApplicationSharingPolicy:         to.Ptr(ml.ApplicationSharingPolicyPersonal),
				ComputeInstanceAuthorizationType: to.Ptr(ml.ComputeInstanceAuthorizationTypePersonal),
				CustomServices: []*ml.CustomService{{
					AdditionalProperties: map[string]any{"restart": "always"},
					Docker:               &ml.Docker{Privileged: to.Ptr(true)},
					Endpoints: []*ml.Endpoint{{
						HostIP: to.Ptr("0.0.0.0"), Name: to.Ptr("studio"), Protocol: to.Ptr(ml.ProtocolHTTP),
						Published: to.Ptr(int32(8787)), Target: to.Ptr(int32(8787)),
					}},
					EnvironmentVariables: map[string]*ml.EnvironmentVariable{
						"MODE": {Type: to.Ptr(ml.EnvironmentVariableTypeLocal), Value: to.Ptr("quick")},
					},
					Image: &ml.Image{Reference: to.Ptr("registry.example/studio"), Type: to.Ptr(ml.ImageTypeDocker)},
					Name:  to.Ptr("studio"),
					Volumes: []*ml.VolumeDefinition{{
						Bind:        &ml.BindOptions{CreateHostPath: to.Ptr(true), Propagation: to.Ptr("rshared"), Selinux: to.Ptr("z")},
						Consistency: to.Ptr("cached"), ReadOnly: to.Ptr(true), Source: to.Ptr("/a"), Target: to.Ptr("/b"),
						Tmpfs: &ml.TmpfsOptions{Size: to.Ptr(int32(1))}, Type: to.Ptr(ml.VolumeDefinitionTypeBind),
						Volume: &ml.VolumeOptions{Nocopy: to.Ptr(true)},
					}},
				}},
				EnableNodePublicIP: to.Ptr(false),
				PersonalComputeInstanceSettings: &ml.PersonalComputeInstanceSettings{
					AssignedUser: &ml.AssignedUser{ObjectID: to.Ptr(federated), TenantID: to.Ptr(tenant)},
				},
				SSHSettings: &ml.ComputeInstanceSSHSettings{SSHPublicAccess: to.Ptr(ml.SSHPublicAccessDisabled)},
				Schedules: &ml.ComputeSchedules{ComputeStartStop: []*ml.ComputeStartStopSchedule{
					{
						Action: to.Ptr(ml.ComputePowerActionStart), Status: to.Ptr(ml.ScheduleStatusDisabled),
						TriggerType: to.Ptr(ml.ComputeTriggerTypeCron),
						Cron: &ml.Cron{
							Expression: to.Ptr("0 8 * * 1-5"), StartTime: to.Ptr("2026-01-01T00:00:00"), TimeZone: to.Ptr("W. Europe Standard Time"),
						},
					},
					{
						Action: to.Ptr(ml.ComputePowerActionStop), Status: to.Ptr(ml.ScheduleStatusDisabled),
						TriggerType: to.Ptr(ml.ComputeTriggerTypeRecurrence),
						Recurrence: &ml.Recurrence{
							Frequency: to.Ptr(ml.ComputeRecurrenceFrequencyWeek), Interval: to.Ptr(int32(1)), Schedule: hours(18),
							StartTime: to.Ptr("2026-01-01T00:00:00"), TimeZone: to.Ptr("Pacific Standard Time"),
						},
					},
				}},
				SetupScripts: &ml.SetupScripts{Scripts: &ml.ScriptsToExecute{
					CreationScript: script("ZWNobyBh"), StartupScript: script("ZWNobyBi"),
				}},
				Subnet: &ml.ResourceID{ID: to.Ptr(outside("Microsoft.Network/virtualNetworks/net/subnets/nodes"))},
				VMSize: to.Ptr("STANDARD_DS3_V2"),
			},
		},
	}
}

// What everyInstanceField leaves out on purpose.
var leftOut = map[string]bool{
	"ComputeResource.SKU": true, "ComputeInstance.ResourceID": true, "ComputeInstanceSSHSettings.AdminPublicKey": true,
	"ComputeStartStopSchedule.Recurrence": true, "ComputeStartStopSchedule.Cron": true, "ComputeStartStopSchedule.Schedule": true,
	"ManagedServiceIdentity.UserAssignedIdentities": true,
	"Image.AdditionalProperties":                    true, "Docker.AdditionalProperties": true,
	"EnvironmentVariable.AdditionalProperties": true,
}

// instance is the instance's part of a compute.
func instance(t *testing.T, compute ml.ComputeResource) *ml.ComputeInstanceProperties {
	t.Helper()
	outer, ok := compute.Properties.(*ml.ComputeInstance)
	if !ok || outer.Properties == nil {
		t.Fatalf("the client doesn't take it for a ComputeInstance: %T", compute.Properties)
	}
	return outer.Properties
}

func plainInstance() ml.ComputeResource {
	return ml.ComputeResource{
		Location: to.Ptr(region),
		Properties: &ml.ComputeInstance{
			ComputeType: to.Ptr(ml.ComputeTypeComputeInstance),
			Properties:  &ml.ComputeInstanceProperties{VMSize: to.Ptr("Standard_DS3_v2")},
		},
	}
}

func TestInstances(t *testing.T) {
	t.Parallel()
	azure := newAzure(t)

	t.Run("the body leaves nothing out", func(t *testing.T) {
		t.Parallel()
		for _, name := range unset(reflect.ValueOf(everyInstanceField())) {
			if !leftOut[name] {
				t.Errorf("everyInstanceField leaves out %s", name)
			}
		}
	})

	t.Run("an instance is created, and read with every field that was set", func(t *testing.T) {
		t.Parallel()
		client := azure.writer(t).NewComputeClient()
		wanted := everyInstanceField()
		made := create(t, client, "every-instance", wanted)
		got, err := client.Get(background(t), group, workspace, "every-instance", nil)
		must(t, err)
		for _, compute := range []ml.ComputeResource{made, got.ComputeResource} {
			holds(t, "instance", compute, wanted)
			inner := instance(t, compute)
			same(t, "state", inner.State, ml.ComputeInstanceStateRunning)
			same(t, "operation", inner.LastOperation.OperationName, ml.OperationNameCreate)
			same(t, "its end", inner.LastOperation.OperationStatus, ml.OperationStatusSucceeded)
			same(t, "its trigger", inner.LastOperation.OperationTrigger, ml.OperationTriggerUser)
			same(t, "user on the machine", inner.SSHSettings.AdminUserName, "azureuser")
			equal(t, "applications", len(inner.Applications), 3)
			equal(t, "public address", inner.ConnectivityEndpoints.PublicIPAddress == nil, true)
			for _, schedule := range inner.Schedules.ComputeStartStop {
				same(t, "schedule", schedule.ProvisioningStatus, ml.ProvisioningStatusCompleted)
			}
		}
		remove(t, client, "every-instance")
		_, err = client.Get(background(t), group, workspace, "every-instance", nil)
		refused(t, err, 404, "ResourceNotFound")
	})

	t.Run("it is stopped, started and restarted by pollers", func(t *testing.T) {
		t.Parallel()
		client := azure.writer(t).NewComputeClient()
		create(t, client, "switched", plainInstance())
		state := func() *ml.ComputeInstanceState {
			got, err := client.Get(background(t), group, workspace, "switched", nil)
			must(t, err)
			return instance(t, got.ComputeResource).State
		}
		stop, err := client.BeginStop(background(t), group, workspace, "switched", nil)
		must(t, err)
		_, err = client.BeginStart(background(t), group, workspace, "switched", nil)
		refused(t, err, 409, "Conflict")
		ended(t, stop)
		same(t, "state", state(), ml.ComputeInstanceStateStopped)
		restart, err := client.BeginRestart(background(t), group, workspace, "switched", nil)
		must(t, err)
		failed(t, restart, 400, "RestartComputeInstanceOnlyAllowedInRunningState")
		start, err := client.BeginStart(background(t), group, workspace, "switched", nil)
		must(t, err)
		ended(t, start)
		same(t, "state", state(), ml.ComputeInstanceStateRunning)
		again, err := client.BeginStart(background(t), group, workspace, "switched", nil)
		must(t, err)
		said := failed(t, again, 400, "StartComputeInstanceOnlyAllowedInStoppedState")
		if !strings.Contains(said.Error(), "is in 'stopped' state") {
			t.Errorf("the words: %v", said)
		}
		restart, err = client.BeginRestart(background(t), group, workspace, "switched", nil)
		must(t, err)
		ended(t, restart)
		same(t, "state", state(), ml.ComputeInstanceStateRunning)
		_, err = client.NewListNodesPager(group, workspace, "switched", nil).NextPage(background(t))
		refused(t, err, 400, "UserError")
		remove(t, client, "switched")
	})

	t.Run("a setup script that fails fails the creation", func(t *testing.T) {
		t.Parallel()
		client := azure.writer(t).NewComputeClient()
		azure.admin(t, "POST", "instance"+computeID("unset-up"), map[string]any{"setupFails": "exit code 1"})
		poller, err := client.BeginCreateOrUpdate(background(t), group, workspace, "unset-up", everyInstanceField(), nil)
		must(t, err)
		failed(t, poller, 200, "SetupScriptsError")
		got, err := client.Get(background(t), group, workspace, "unset-up", nil)
		must(t, err)
		inner := instance(t, got.ComputeResource)
		same(t, "state", inner.State, ml.ComputeInstanceStateSetupFailed)
		same(t, "operation", inner.LastOperation.OperationStatus, ml.OperationStatusCreateFailed)
		same(t, "error", inner.Errors[0].Error.Code, "SetupScriptsError")
		remove(t, client, "unset-up")
	})
}
