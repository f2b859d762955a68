// Whether pods hold the restricted Pod Security Standard, and what this house adds to it: a read-only root, no token of the
// API server, bounded memory, an image with a version and no registry in its name, no rights at all.
import { containersOf, eachPod } from "./kustomize.mjs";

const volumes = ["configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"];
const sysctls = ["kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start", "net.ipv4.tcp_syncookies",
  "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout",
  "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes"];
const profiles = ["RuntimeDefault", "Localhost"];

/** What is wrong with one container; `pod` is the security context of its pod. */
export function checkContainer(container, pod, at) {
  const errors = [];
  const must = (holds, what) => holds || errors.push(`${at}: ${what}`);
  const own = container.securityContext ?? {};
  const either = (name) => own[name] ?? pod[name];
  must(!own.privileged, "privileged");
  must(own.allowPrivilegeEscalation === false, "allowPrivilegeEscalation is not false");
  must(own.capabilities?.drop?.includes("ALL"), "capabilities do not drop ALL");
  must((own.capabilities?.add ?? []).every((name) => name === "NET_BIND_SERVICE"), "capabilities are added");
  must(either("runAsNonRoot") === true, "runAsNonRoot is not true");
  must(own.runAsNonRoot !== false, "runAsNonRoot is false");
  must(either("runAsUser") > 0, "runAsUser is no user");
  must(profiles.includes(either("seccompProfile")?.type), "seccompProfile is none of the runtime's or of the node");
  must((own.procMount ?? "Default") === "Default", "procMount");
  must(!(own.seLinuxOptions?.user || own.seLinuxOptions?.role), "seLinuxOptions");
  must((own.appArmorProfile?.type ?? "RuntimeDefault") !== "Unconfined", "appArmorProfile");
  must((container.ports ?? []).every((port) => !port.hostPort), "hostPort");
  must(own.readOnlyRootFilesystem === true, "readOnlyRootFilesystem is not true");
  must(container.resources?.requests?.cpu && container.resources.requests.memory, "resources.requests lack cpu or memory");
  must(container.resources?.limits?.memory, "resources.limits lack memory");
  must(/^[a-z0-9-]+(\/[a-z0-9-]+)*:[\w.-]+$/.test(container.image) && !container.image.endsWith(":latest"),
    `image ${container.image} has no version, or a registry`);
  return errors;
}

/** What is wrong with all of these objects. */
export function checkPolicy(objects) {
  const errors = [];
  eachPod(objects, (pod, { kind, metadata }) => {
    const at = `${kind}/${metadata.name}`;
    const must = (holds, what) => holds || errors.push(`${at}: ${what}`);
    const context = pod.securityContext ?? {};
    must(!pod.hostNetwork && !pod.hostPID && !pod.hostIPC, "the host's namespaces");
    must(pod.automountServiceAccountToken === false, "automountServiceAccountToken is not false");
    must((pod.volumes ?? []).every((volume) => Object.keys(volume).every((key) => key === "name" || volumes.includes(key))), "volumes");
    must((context.sysctls ?? []).every(({ name }) => sysctls.includes(name)), "sysctls");
    must(context.runAsNonRoot !== false && context.runAsUser !== 0, "root");
    for (const container of containersOf(pod)) {
      errors.push(...checkContainer(container, context, `${at}/${container.name}`));
    }
  });
  for (const { apiVersion, kind, metadata } of objects) {
    if (apiVersion.startsWith("rbac.") || kind === "ServiceAccount" || kind === "Secret") {
      errors.push(`${kind}/${metadata.name}: has no place here`);
    }
  }
  return errors;
}
