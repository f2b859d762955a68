// Whether what objects say of each other holds: selectors match pods, ports and volumes that are named exist, ConfigMaps and
// Secrets are there, or given by whoever applies them.
import { containersOf, eachPod } from "./kustomize.mjs";

const matches = (selector, labels) => Object.keys(selector ?? {}).length > 0 &&
  Object.entries(selector).every(([key, value]) => labels?.[key] === value);

/** What is wrong; `given` are Secrets that are there already: {name: [key]}. */
export function checkReferences(objects, given = {}) {
  const errors = [];
  const complain = (at, what) => errors.push(`${at.kind}/${at.metadata.name}: ${what}`);
  const pods = [];
  eachPod(objects, (spec, object) => {
    const { labels } = object.kind === "Pod" ? object.metadata : object.spec.template.metadata;
    const containers = containersOf(spec);
    const ports = containers.flatMap((one) => one.ports ?? []);
    pods.push({ labels, ports });

    const { selector } = object.spec;
    if (selector && !matches(selector.matchLabels, labels)) {
      complain(object, "the selector does not match its own pods");
    }
    for (const { labelSelector } of spec.topologySpreadConstraints ?? []) {
      if (!matches(labelSelector.matchLabels, labels)) {
        complain(object, "a topology spread does not count its own pods");
      }
    }
    for (const list of [containers, ports, spec.volumes ?? []]) {
      const names = list.map((one) => one.name);
      for (const name of new Set(names.filter((one, i) => names.indexOf(one) !== i))) {
        complain(object, `${name} is there twice`);
      }
    }
    for (const container of containers) {
      const own = container.ports ?? [];
      for (const probe of ["startupProbe", "livenessProbe", "readinessProbe"].map((name) => container[name]).filter(Boolean)) {
        const port = (probe.httpGet ?? probe.tcpSocket)?.port;
        if (!own.some((one) => one.name === port || one.containerPort === port)) {
          complain(object, `${container.name} has no port ${port} for its probe`);
        }
      }
      for (const { name } of container.volumeMounts ?? []) {
        if (!(spec.volumes ?? []).some((volume) => volume.name === name) && !object.spec.volumeClaimTemplates?.some((one) => one.metadata.name === name)) {
          complain(object, `${container.name} mounts ${name}, which is no volume`);
        }
      }
      for (const { name, valueFrom } of container.env ?? []) {
        const { name: secret, optional } = valueFrom?.secretKeyRef ?? { optional: true };
        if (!optional && !given[secret]) {
          complain(object, `nobody gives the Secret ${secret} of ${name}`);
        }
      }
      const paths = (container.volumeMounts ?? []).map((mount) => mount.mountPath);
      if (new Set(paths).size < paths.length) {
        complain(object, `${container.name} mounts two volumes at one path`);
      }
      if (container.restartPolicy && !((spec.initContainers ?? []).includes(container) && container.restartPolicy === "Always")) {
        complain(object, `${container.name}: restartPolicy is for init containers, and Always`);
      }
    }
    if (object.kind === "Job" && !["Never", "OnFailure"].includes(spec.restartPolicy)) {
      complain(object, "a Job's pods take restartPolicy Never or OnFailure");
    }
    for (const volume of spec.volumes ?? []) {
      if (!containers.some((container) => container.volumeMounts?.some(({ name }) => name === volume.name))) {
        complain(object, `nobody mounts ${volume.name}`);
      }
      if (volume.configMap && !objects.some((one) => one.kind === "ConfigMap" && one.metadata.name === volume.configMap.name)) {
        complain(object, `there is no ConfigMap ${volume.configMap.name}`);
      }
      if (volume.secret && !volume.secret.optional && !given[volume.secret.secretName]) {
        complain(object, `nobody gives the Secret ${volume.secret.secretName}`);
      }
    }
  });

  for (const object of objects) {
    const selector = object.kind === "Service" ? object.spec.selector
      : object.kind === "PodDisruptionBudget" ? object.spec.selector.matchLabels
        : object.kind === "NetworkPolicy" ? object.spec.podSelector.matchLabels : undefined;
    if (!selector) {
      continue;
    }
    const selected = pods.filter(({ labels }) => matches(selector, labels));
    if (selected.length !== 1) {
      complain(object, `${selected.length} workloads are selected`);
    }
    const wanted = object.kind === "Service" ? object.spec.ports.map((port) => port.targetPort ?? port.port)
      : object.kind === "NetworkPolicy" ? (object.spec.ingress ?? []).flatMap((rule) => (rule.ports ?? []).map((one) => one.port)) : [];
    if (object.kind === "NetworkPolicy" && !wanted.every(Number.isInteger)) {
      complain(object, `ports are numbers, of init containers the names are not known everywhere: ${wanted}`);
    }
    for (const port of wanted) {
      if (!selected.every(({ ports }) => ports.some((one) => one.name === port || one.containerPort === port))) {
        complain(object, `the pods have no port ${port}`);
      }
    }
  }

  const keys = objects.map(({ kind, metadata }) => `${kind}/${metadata.name}`);
  for (const key of new Set(keys.filter((one, i) => keys.indexOf(one) !== i))) {
    errors.push(`${key} is there twice`);
  }
  if (new Set(objects.map(({ metadata }) => metadata.namespace)).size > 1) {
    errors.push("some of the objects are in a namespace of their own");
  }
  return errors;
}

/**
 * What is wrong with how workloads are let through, spread and kept: `reached` are the ports of what their containers connect to.
 * Who serves more than probes is not for everybody, names are looked up, and a node can be drained.
 */
export function checkTraffic(objects, reached) {
  const errors = [];
  const of = (kind) => objects.filter((object) => object.kind === kind);
  for (const { metadata, spec } of of("NetworkPolicy")) {
    const must = (holds, what) => holds || errors.push(`NetworkPolicy/${metadata.name}: ${what}`);
    const goesOut = (port, protocol = "TCP") => (spec.egress ?? []).some(({ ports }) => ports?.some((one) => one.port === port && (one.protocol ?? "TCP") === protocol));
    must(["Ingress", "Egress"].every((type) => spec.policyTypes?.includes(type)), "policyTypes");
    must(goesOut(53, "UDP") && goesOut(53), "names can't be looked up");
    reached.forEach((port) => must(goesOut(port), `nothing goes out to ${port}`));
    const open = (spec.ingress ?? []).filter(({ from }) => !from?.length).flatMap(({ ports }) => ports?.map(({ port }) => port) ?? ["everything"]);
    must(open.every((port) => [8381, 8404].includes(port)), `everybody is let in to ${open}`);
    must(open.includes(8381), "the kubelet's probes are not let in");
  }
  for (const { metadata, spec } of of("PodDisruptionBudget")) {
    (spec.maxUnavailable ?? spec.minAvailable) === 1 || errors.push(`PodDisruptionBudget/${metadata.name}: it is not one pod`);
  }
  for (const policy of of("NetworkPolicy")) { // what stands in the middle
    const workload = of("Deployment").find(({ spec }) => matches(policy.spec.podSelector.matchLabels, spec.template.metadata.labels));
    const must = (holds, what) => holds || errors.push(`${policy.metadata.name}: ${what}`);
    must(workload?.spec.replicas >= 2, "has a single pod");
    must(workload?.spec.strategy?.rollingUpdate?.maxUnavailable === 0, "loses a pod in an update");
    must(["topology.kubernetes.io/zone", "kubernetes.io/hostname"].every((key) => workload?.spec.template.spec.topologySpreadConstraints?.some(({ topologyKey }) => topologyKey === key)), "is not spread");
    must(of("PodDisruptionBudget").some(({ spec }) => matches(spec.selector.matchLabels, workload?.spec.template.metadata.labels)), "has no disruption budget");
  }
  return errors;
}
