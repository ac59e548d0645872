"""The API resources that lbctl reads and writes, and their URL paths. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource type of the API server, as its discovery document names it."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool

    @property
    def api_version(self) -> str:
        """Return what objects carry as `apiVersion`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, sub: str = "") -> str:
        """Return the URL path of the collection, or of one object or its subresource."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        scope = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        tail = (f"/{name}" if name else "") + (f"/{sub}" if sub else "")
        return f"{root}{scope}/{self.plural}{tail}"


SERVICES = Resource("", "v1", "services", "Service", namespaced=True)
NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
NODES = Resource("", "v1", "nodes", "Node", namespaced=False)
EVENTS = Resource("", "v1", "events", "Event", namespaced=True)
ENDPOINT_SLICES = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", True)
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease", namespaced=True)

# Only `lbctl preflight` reads these.
PODS = Resource("", "v1", "pods", "Pod", namespaced=True)
CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap", namespaced=True)
DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment", namespaced=True)
DAEMON_SETS = Resource("apps", "v1", "daemonsets", "DaemonSet", namespaced=True)
STATEFUL_SETS = Resource("apps", "v1", "statefulsets", "StatefulSet", namespaced=True)
SERVICE_CIDRS = Resource("networking.k8s.io", "v1", "servicecidrs", "ServiceCIDR", False)
DEFINITIONS = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", False
)

GROUP, VERSION = "lbctl.io", "v1alpha1"
L4_VIRTUAL_SERVICES = Resource(GROUP, VERSION, "l4virtualservices", "L4VirtualService", False)
IP_ALLOCATIONS = Resource(GROUP, VERSION, "ipallocations", "IPAllocation", False)
ADDRESS_POOLS = Resource(GROUP, VERSION, "addresspools", "AddressPool", False)
L4_POLICIES = Resource(GROUP, VERSION, "l4policies", "L4Policy", namespaced=True)
SERVING_NODES = Resource(GROUP, VERSION, "servingnodes", "ServingNode", False)
FABRICS = Resource(GROUP, VERSION, "fabrics", "Fabric", False)
ZONES = Resource(GROUP, VERSION, "zones", "Zone", False)
