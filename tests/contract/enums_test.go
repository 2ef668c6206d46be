package contract

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	ml "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/machinelearning/armmachinelearning/v4"
)

// enumeration is a type of the client with a closed list of values.
type enumeration struct {
	kind   reflect.Type
	values map[string]bool
}

func values[T ~string](possible func() []T) enumeration {
	all := map[string]bool{}
	for _, value := range possible() {
		all[string(value)] = true
	}
	return enumeration{reflect.TypeFor[T](), all}
}

// The enumerations that may occur in an answer. Another one fails the test that meets it, until it stands here.
var enumerations = []enumeration{
	values(ml.PossibleAllocationStateValues),
	values(ml.PossibleApplicationSharingPolicyValues),
	values(ml.PossibleBillingCurrencyValues),
	values(ml.PossibleCachingValues),
	values(ml.PossibleComputeInstanceAuthorizationTypeValues),
	values(ml.PossibleComputeInstanceStateValues),
	values(ml.PossibleComputePowerActionValues),
	values(ml.PossibleComputeRecurrenceFrequencyValues),
	values(ml.PossibleComputeTriggerTypeValues),
	values(ml.PossibleComputeTypeValues),
	values(ml.PossibleComputeWeekDayValues),
	values(ml.PossibleCreatedByTypeValues),
	values(ml.PossibleDistributionTypeValues),
	values(ml.PossibleEmailNotificationEnableTypeValues),
	values(ml.PossibleEncryptionStatusValues),
	values(ml.PossibleEnvironmentVariableTypeValues),
	values(ml.PossibleIdentityConfigurationTypeValues),
	values(ml.PossibleImageTypeValues),
	values(ml.PossibleInputDeliveryModeValues),
	values(ml.PossibleIsolationModeValues),
	values(ml.PossibleJobInputTypeValues),
	values(ml.PossibleJobLimitsTypeValues),
	values(ml.PossibleJobOutputTypeValues),
	values(ml.PossibleJobStatusValues),
	values(ml.PossibleJobTierValues),
	values(ml.PossibleJobTypeValues),
	values(ml.PossibleManagedNetworkStatusValues),
	values(ml.PossibleManagedServiceIdentityTypeValues),
	values(ml.PossibleNodeStateValues),
	values(ml.PossibleNodesValueTypeValues),
	values(ml.PossibleOperationNameValues),
	values(ml.PossibleOperationStatusValues),
	values(ml.PossibleOperationTriggerValues),
	values(ml.PossibleOsTypeValues),
	values(ml.PossibleOutputDeliveryModeValues),
	values(ml.PossiblePrivateEndpointServiceConnectionStatusValues),
	values(ml.PossibleProtocolValues),
	values(ml.PossibleProvisioningStateValues),
	values(ml.PossibleProvisioningStatusValues),
	values(ml.PossiblePublicNetworkAccessValues),
	values(ml.PossibleQuotaUnitValues),
	values(ml.PossibleRemoteLoginPortPublicAccessValues),
	values(ml.PossibleRuleCategoryValues),
	values(ml.PossibleRuleStatusValues),
	values(ml.PossibleRuleTypeValues),
	values(ml.PossibleSKUTierValues),
	values(ml.PossibleSSHPublicAccessValues),
	values(ml.PossibleScheduleStatusValues),
	values(ml.PossibleStatusValues),
	values(ml.PossibleStorageAccountTypeValues),
	values(ml.PossibleUnitOfMeasureValues),
	values(ml.PossibleUsageUnitValues),
	values(ml.PossibleVMPriceOSTypeValues),
	values(ml.PossibleVMPriorityValues),
	values(ml.PossibleVMTierValues),
	values(ml.PossibleVolumeDefinitionTypeValues),
	values(ml.PossibleWebhookTypeValues),
}

// strangers walks through a decoded value and tells every text that isn't in its enumeration.
func strangers(value reflect.Value, path string) []string {
	switch value.Kind() {
	case reflect.Pointer, reflect.Interface:
		if value.IsNil() {
			return nil
		}
		return strangers(value.Elem(), path)
	case reflect.Struct:
		if value.Type() == reflect.TypeFor[time.Time]() {
			return nil
		}
		var faults []string
		for i := range value.NumField() {
			faults = append(faults, strangers(value.Field(i), path+"."+value.Type().Field(i).Name)...)
		}
		return faults
	case reflect.Slice:
		var faults []string
		for i := range value.Len() {
			faults = append(faults, strangers(value.Index(i), fmt.Sprintf("%s.%d", path, i))...)
		}
		return faults
	case reflect.Map:
		var faults []string
		for _, key := range value.MapKeys() {
			faults = append(faults, strangers(value.MapIndex(key), fmt.Sprintf("%s.%v", path, key))...)
		}
		return faults
	case reflect.String:
		return stranger(value, strings.TrimPrefix(path, "."))
	default:
		return nil
	}
}

func stranger(value reflect.Value, path string) []string {
	kind := value.Type()
	if kind == reflect.TypeFor[string]() {
		return nil
	}
	for _, enumeration := range enumerations {
		if enumeration.kind == kind {
			if enumeration.values[value.String()] {
				return nil
			}
			return []string{fmt.Sprintf("%s: %s is no %s", path, value.String(), kind.Name())}
		}
	}
	return []string{fmt.Sprintf("%s: enums_test.go doesn't know the values of %s", path, kind.Name())}
}
