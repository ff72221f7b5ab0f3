# ruff: noqa: N815 - names as Kubernetes and Helm write them
"""What may stand in the chart's values: types and bounds. Defaults and descriptions stand in values.yaml alone."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

# Names of objects (RFC 1123), keys of ConfigMaps and Secrets, organizations (spec 1.2), one part of a file's name.
Name = Annotated[str, Field(pattern="^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)]
WebAddressOrNone = Annotated[str, Field(pattern=r"^(https?://[!-~]+)?$", max_length=1000)]
NameOrNone = Annotated[str, Field(pattern="^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$", max_length=253)]
DataKey = Annotated[str, Field(pattern="^[-._a-zA-Z0-9]+$", max_length=253)]
Port = Annotated[int, Field(ge=1024, le=65_535)]
Count = Annotated[int, Field(ge=1, le=10_000)]
Seconds = Annotated[int, Field(ge=1, le=3600)]
Interval = Annotated[str, Field(pattern="^[0-9]+(ms|s|m|h)$")]
Labels = dict[str, str]
Anything = dict[str, Any]
"""A part of Kubernetes's own API: the cluster checks it."""


class _Values(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Image(_Values):
    repository: Annotated[str, Field(pattern="^[a-zA-Z0-9][-a-zA-Z0-9._/:]*$")]
    tag: Annotated[str, Field(pattern="^[-a-zA-Z0-9._]{0,128}$")]
    digest: Annotated[str, Field(pattern="^(sha256:[0-9a-f]{64})?$")]
    pullPolicy: Literal["Always", "IfNotPresent", "Never"]


class PullSecret(_Values):
    name: Name


class Routes(_Values):
    text: str
    existingConfigMap: NameOrNone


class Policy(_Values):
    source: Literal["configMap", "redis"]
    files: dict[Annotated[str, Field(pattern="^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$")], str]
    existingConfigMap: NameOrNone
    rollout: Literal["restart", "watch"]


class Reference(_Values):
    name: NameOrNone
    key: DataKey


class TlsReference(_Values):
    name: NameOrNone
    clientCa: Annotated[str, Field(pattern="^[-._a-zA-Z0-9]*$")]


class VariableReference(_Values):
    variable: Annotated[str, Field(pattern="^SIDEGATE_[A-Z0-9]+(_[A-Z0-9]+|__[A-Z0-9]+)*$")]
    name: Name
    key: DataKey


class FileReference(_Values):
    path: Annotated[str, Field(pattern="^[a-zA-Z0-9][-._a-zA-Z0-9]*$", max_length=253)]
    name: Name
    key: DataKey


class Secrets(_Values):
    checkpointKey: Reference
    sessionSecret: Reference
    assertionKey: Reference
    policyUrl: Reference
    tls: TlsReference
    variables: list[VariableReference]
    files: list[FileReference]


class Ports(_Values):
    data: Port
    admin: Port


class Admin(_Values):
    exposure: Literal["pod", "loopback"]


class Probe(_Values):
    periodSeconds: Seconds
    timeoutSeconds: Seconds
    failureThreshold: Annotated[int, Field(ge=1, le=1000)]


class Probes(_Values):
    startup: Probe
    readiness: Probe
    liveness: Probe


class Spool(_Values):
    kind: Literal["emptyDir", "ephemeral", "claim"]
    existingClaim: NameOrNone
    storageClassName: NameOrNone
    extraMiB: Annotated[int, Field(ge=16, le=1_000_000)]


class UpstreamPods(_Values):
    podLabels: Labels


class Egress(_Values):
    restrict: bool
    dns: list[Anything]
    redis: list[Anything]
    redisPorts: list[Annotated[int, Field(ge=1, le=65_535)]]
    rules: list[Anything]


class NetworkPolicy(_Values):
    enabled: bool
    managedElsewhere: bool
    clients: list[Anything]
    monitors: list[Anything]
    egress: Egress
    upstream: UpstreamPods


class Sidecar(_Values):
    podLabels: Labels
    serviceGraceSeconds: Annotated[int, Field(ge=0, le=3600)]
    hideServiceAccountToken: bool


class Autoscaling(_Values):
    enabled: bool
    minReplicas: Count
    maxReplicas: Count
    targetCPUUtilizationPercentage: Annotated[int, Field(ge=1, le=100)]


class PodDisruptionBudget(_Values):
    enabled: bool
    maxUnavailable: Annotated[int, Field(ge=1)] | Annotated[str, Field(pattern="^[1-9][0-9]?%$")]


class TopologySpread(_Values):
    topologyKeys: list[str]
    maxSkew: Count
    whenUnsatisfiable: Literal["ScheduleAnyway", "DoNotSchedule"]


class Service(_Values):
    type: Literal["ClusterIP", "NodePort", "LoadBalancer"]
    port: Annotated[int, Field(ge=1, le=65_535)]
    annotations: Labels


class ServiceAccount(_Values):
    create: bool
    name: NameOrNone
    annotations: Labels


class Monitor(_Values):
    enabled: bool
    interval: Interval
    labels: Labels


class PodMonitor(Monitor):
    pass


class ServiceMonitor(Monitor):
    pass


class Alerts(_Values):
    enabled: bool
    docsUrl: WebAddressOrNone
    labels: Labels


class Dashboards(_Values):
    enabled: bool
    labels: Labels
    annotations: Labels


class CertManager(_Values):
    enabled: bool
    issuerKind: Literal["Issuer", "ClusterIssuer"]
    issuerName: NameOrNone


class InjectorTls(_Values):
    secretName: NameOrNone
    caBundle: Annotated[str, Field(pattern="^(-----BEGIN CERTIFICATE-----(.|\\n)*)?$", max_length=65_536)]
    clientCa: Annotated[str, Field(pattern="^[-._a-zA-Z0-9]*$")]
    certManager: CertManager


class Injector(_Values):
    enabled: bool
    replicaCount: Count
    port: Port
    failurePolicy: Literal["Fail", "Ignore"]
    timeoutSeconds: Annotated[int, Field(ge=1, le=30)]
    namespaceSelector: Anything
    objectSelector: Anything
    clients: list[Anything]
    resources: Anything
    tls: InjectorTls


class Values(_Values):
    mode: Literal["standalone", "sidecar"]
    nativeSidecar: bool
    nameOverride: NameOrNone
    fullnameOverride: NameOrNone
    image: Image
    imagePullSecrets: list[PullSecret]
    config: Anything
    routes: Routes
    policy: Policy
    files: dict[DataKey, str]
    secrets: Secrets
    bindAddress: Annotated[str, Field(pattern=r"^([0-9]{1,3}(\.[0-9]{1,3}){3}|\[[0-9a-fA-F:]+\])$")]
    ports: Ports
    admin: Admin
    probes: Probes
    resources: Anything
    spool: Spool
    networkPolicy: NetworkPolicy
    sidecar: Sidecar
    replicaCount: Count
    autoscaling: Autoscaling
    podDisruptionBudget: PodDisruptionBudget
    topologySpread: TopologySpread
    service: Service
    serviceAccount: ServiceAccount
    podAnnotations: Labels
    podLabels: Labels
    nodeSelector: Labels
    tolerations: list[Anything]
    affinity: Anything
    priorityClassName: NameOrNone
    podMonitor: PodMonitor
    serviceMonitor: ServiceMonitor
    alerts: Alerts
    dashboards: Dashboards
    injector: Injector
