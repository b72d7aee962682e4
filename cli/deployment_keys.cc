#include "cli/deployment_keys.h"

#include <algorithm>

namespace bundle::cli {
namespace {

using packager::KeyType;
using packager::ManifestKey;

constexpr double kMany = 1e9;
constexpr double kDay = 86400;
constexpr char kVariable[] = "[A-Za-z_][A-Za-z0-9_]*";
constexpr char kLabel[] = "[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?";
constexpr char kWord[] = "[A-Za-z0-9_.,:&|=+-]+";
constexpr char kImage[] = "[A-Za-z0-9\\[][A-Za-z0-9._:/@\\[\\]-]*";
constexpr char kDnsLabel[] = "[a-z0-9]([a-z0-9-]*[a-z0-9])?";
constexpr char kDnsName[] = "[a-z0-9]([a-z0-9.-]*[a-z0-9])?";
constexpr char kHost[] = "([A-Za-z0-9_][A-Za-z0-9._-]*@)?[A-Za-z0-9_\\[][A-Za-z0-9_.:\\[\\]-]*";

// clang-format off
constexpr ManifestKey kKeys[] = {
  {"name", KeyType::kText, "Of the deployment.", "the bundle's", 0, 63, {}, "[A-Za-z0-9][A-Za-z0-9._-]*"},
  {"target", KeyType::kText, "Where it runs: local, systemd, ssh, …", "local", 0, 32},
  {"bundle", KeyType::kText, "NAME, NAME:TAG or NAME@DIGEST.", "", 0, 4096},
  {"host", KeyType::kText, "Address that a server listens on.", "127.0.0.1", 0, 253},
  {"port", KeyType::kWhole, "Port of the first replica; 0 takes a free one and keeps it.", "0", 0, 65535},
  {"admin_port", KeyType::kWhole, "Port of probes, /metrics and /autoscale without a key; a host's further replicas count up from it. Kubernetes and AWS have theirs at 9090.", "none", 1, 65535},
  {"drain_seconds", KeyType::kWhole, "How long running requests may take at a stop.", "30", 0, kDay},
  {"api_key_file", KeyType::kText, "Clients must have one of this file's keys, one a line.", "", 0, 4096},
  {"access_log", KeyType::kText, "A line of JSON for each request: `-` is the server's log; a file there where the target has a place for one (local, slurm, skypilot).", "none", 0, 4096, {}, "-|/.+"},
  {"replicas", KeyType::kWhole, "A fixed number of copies: scaling.min_replicas and max_replicas.", "1", 0, 10000},
  {"env", KeyType::kTextMap, "Environment variables of the server.", "", 0, 0, {}, kVariable},
  {"secrets", KeyType::kTextMap, "Environment variables whose values lie in files on this machine; neither shown nor kept in any state.", "", 0, 0, {}, kVariable},
  {"labels", KeyType::kTextMap, "Labels of what the target creates, where it has labels.", "", 0, 0, {}, kLabel},
  {"runtime", KeyType::kSection, "Overrides of the bundle's runtime section, with its keys.", ""},

  {"tls", KeyType::kSection, "HTTPS by the server itself, where nothing before it ends TLS. PEM files on this machine (podman: on the host); a renewed one is brought by the next deploy.", "plain HTTP"},
  {"tls.certificate", KeyType::kText, "Chain of certificates, the server's own first.", "", 0, 4096},
  {"tls.key", KeyType::kText, "Its private key; kept as keys and secrets are.", "", 0, 4096},
  {"tls.client_ca", KeyType::kText, "Only clients with a certificate of this authority are let in.", "any client", 0, 4096},

  {"resources", KeyType::kSection, "What one replica needs; `bundle size` says how much.", "the bundle's"},
  {"resources.cpu", KeyType::kReal, "Processor cores.", "", 0, 4096},
  {"resources.memory", KeyType::kQuantity, "Memory.", ""},
  {"resources.gpu", KeyType::kWhole, "GPUs of each machine.", "0", 0, 1024},
  {"resources.gpu_type", KeyType::kText, "Kind of GPU, by a name of `bundle catalog list` or as the target names it.", "", 0, 128},
  {"resources.disk", KeyType::kQuantity, "Space for the bundle's files.", "1.2 times the bundle"},
  {"resources.nodes", KeyType::kWhole, "Machines that one replica spans.", "1", 1, 256},

  {"scaling", KeyType::kSection, "How many replicas, and what decides it.", "the bundle's"},
  {"scaling.min_replicas", KeyType::kWhole, "Fewest replicas; 0 lets the last one sleep.", "1", 0, 10000},
  {"scaling.max_replicas", KeyType::kWhole, "Most replicas.", "1", 1, 10000},
  {"scaling.target_concurrency", KeyType::kWhole, "Requests in flight that one replica should carry.", "from the bundle's profile", 1, 1e6},
  {"scaling.scale_up_delay_seconds", KeyType::kWhole, "How long more load must last before a replica is added.", "0", 0, kDay},
  {"scaling.scale_down_delay_seconds", KeyType::kWhole, "How long less load must last before one is taken away.", "300", 0, kDay},
  {"scaling.idle_seconds", KeyType::kWhole, "Without a request for so long, the last replica goes to sleep.", "300", 1, kDay},
  {"scaling.ttft_ms", KeyType::kWhole, "Objective: time to the first token.", "none", 1, kMany},
  {"scaling.tpot_ms", KeyType::kWhole, "Objective: time per further token.", "none", 1, kMany},

  {"update", KeyType::kSection, "How a new revision replaces the old one.", ""},
  {"update.strategy", KeyType::kChoice, "auto counts what is free and picks one that cannot deadlock.", "auto", 0, 0, "auto surge recreate blue-green"},
  {"update.ready_seconds", KeyType::kWhole, "How long a replica may load.", "1.5 x weights / read rate + 60", 1, kDay},
  {"update.read_mb_per_second", KeyType::kWhole, "Rate at which weights load on the target, measured.", "500", 1, kMany},

  {"systemd", KeyType::kSection, "The target systemd: this host.", ""},
  {"systemd.root", KeyType::kText, "Folder of blobs, servers and states.", "/var/lib/bundle", 0, 200, {}, "/[A-Za-z0-9._/-]*"},
  {"systemd.units", KeyType::kText, "Folder of unit files.", "/etc/systemd/system", 0, 200, {}, "/[A-Za-z0-9._/-]*"},

  {"ssh", KeyType::kSection, "The target ssh: hosts with systemd, reached by OpenSSH.", ""},
  {"ssh.hosts", KeyType::kTexts, "The inventory: [USER@]HOST[:PORT].", "", 0, 253, {}, kHost},
  {"ssh.key_file", KeyType::kText, "Private key.", "ssh's own choice", 0, 4096},
  {"ssh.config_file", KeyType::kText, "Configuration of ssh.", "~/.ssh/config", 0, 4096},
  {"ssh.root", KeyType::kText, "Folder of blobs, servers and states there.", "/var/lib/bundle", 0, 200, {}, "/[A-Za-z0-9._/-]*"},
  {"ssh.units", KeyType::kText, "Folder of unit files there.", "/etc/systemd/system", 0, 200, {}, "/[A-Za-z0-9._/-]*"},

  {"slurm", KeyType::kSection, "The target slurm: a cluster whose machines share a folder.", ""},
  {"slurm.folder", KeyType::kText, "Shared folder of blobs, servers and states.", "", 0, 200, {}, "/[A-Za-z0-9._/-]*"},
  {"slurm.host", KeyType::kText, "[USER@]HOST[:PORT] of a login node.", "this host", 0, 253, {}, kHost},
  {"slurm.key_file", KeyType::kText, "Private key.", "ssh's own choice", 0, 4096},
  {"slurm.config_file", KeyType::kText, "Configuration of ssh.", "~/.ssh/config", 0, 4096},
  {"slurm.partition", KeyType::kText, "Partition.", "the cluster's", 0, 64, {}, kWord},
  {"slurm.account", KeyType::kText, "Account.", "the user's", 0, 64, {}, kWord},
  {"slurm.qos", KeyType::kText, "Quality of service.", "", 0, 64, {}, kWord},
  {"slurm.constraint", KeyType::kText, "Features that a machine must have.", "", 0, 128, {}, kWord},
  {"slurm.reservation", KeyType::kText, "Reservation.", "", 0, 64, {}, kWord},
  {"slurm.time_minutes", KeyType::kWhole, "Time limit; before it ends a job drains and queues itself again.", "the partition's", 1, 1e6},
  {"slurm.exclusive", KeyType::kBool, "Whole machines.", "false"},

  {"kubernetes", KeyType::kSection, "The target kubernetes.", ""},
  {"kubernetes.image", KeyType::kText, "Where the bundle's image lies: registry/name@sha256:…", "", 0, 4096, {}, kImage},
  {"kubernetes.namespace", KeyType::kText, "Namespace; it must exist.", "default", 0, 63, {}, kDnsLabel},
  {"kubernetes.version", KeyType::kText, "Version to render for, where there is no server.", "1.37", 0, 32, {}, "v?1[.][0-9]+.*"},
  {"kubernetes.kubeconfig", KeyType::kText, "How to reach the cluster.", "$KUBECONFIG or ~/.kube/config", 0, 4096},
  {"kubernetes.context", KeyType::kText, "Context of the kubeconfig.", "its current one", 0, 253},
  {"kubernetes.image_pull_secret", KeyType::kText, "Secret for the registry.", "", 0, 253, {}, kDnsName},
  {"kubernetes.weights", KeyType::kChoice, "image: all in the image; volume: weights as an image volume; claim: on a persistent volume.", "image", 0, 0, "image volume claim"},
  {"kubernetes.weights_image", KeyType::kText, "The image volume's reference (the modelpack variant).", "", 0, 4096, {}, kImage},
  {"kubernetes.claim", KeyType::kText, "Name of the PersistentVolumeClaim with the weights.", "", 0, 253, {}, kDnsName},
  {"kubernetes.node_selector", KeyType::kTextMap, "Labels that a node must have.", "", 0, 0, {}, kLabel},
  {"kubernetes.priority_class", KeyType::kText, "Priority class.", "", 0, 253, {}, kDnsName},
  {"kubernetes.service_type", KeyType::kChoice, "How the Service is reached.", "ClusterIP", 0, 0, "ClusterIP NodePort LoadBalancer"},
  {"kubernetes.allow_from", KeyType::kTexts, "Address ranges that may reach the API.", "all", 0, 64, {}, "[0-9a-fA-F.:]+/[0-9]+"},
  {"kubernetes.autoscaler", KeyType::kChoice, "auto: KEDA where it is installed and Prometheus is named, else HPA.", "auto", 0, 0, "auto hpa keda none"},
  {"kubernetes.metric", KeyType::kText, "External metric that the HPA reads: requests in flight, in all.", "bundle_requests_in_flight", 0, 253, {}, "[A-Za-z_:][A-Za-z0-9_:|.-]*"},
  {"kubernetes.prometheus", KeyType::kText, "Address of Prometheus, for KEDA.", "", 0, 4096},
  {"kubernetes.monitor_labels", KeyType::kTextMap, "Labels that an operator asks of a PodMonitor (release: …).", "", 0, 0, {}, kLabel},
  {"kubernetes.hostnames", KeyType::kTexts, "Host names of the route.", "", 0, 253, {}, "[A-Za-z0-9*.-]+"},
  {"kubernetes.gateway", KeyType::kText, "Gateway that an HTTPRoute attaches to.", "", 0, 253, {}, kDnsName},
  {"kubernetes.canary", KeyType::kText, "Another deployment, whose Service the HTTPRoute sends a part of the requests to.", "", 0, 63, {}, kDnsLabel},
  {"kubernetes.canary_percent", KeyType::kWhole, "How many per cent of them.", "10", 0, 100},
  {"kubernetes.endpoint_picker", KeyType::kText, "Service of the endpoint picker of an InferencePool.", "", 0, 253, {}, kDnsName},
  {"kubernetes.group", KeyType::kChoice, "What a replica over several machines is.", "auto", 0, 0, "auto stateful-set"},

  {"aws", KeyType::kSection, "The targets aws (CloudFormation) and terraform (--render only).", ""},
  {"aws.region", KeyType::kText, "Region of the stack.", "AWS_REGION, or the profile's", 0, 32, {}, "[a-z0-9-]+"},
  {"aws.source", KeyType::kText, "s3://BUCKET/PREFIX from which machines start; deploy copies what is missing there.", "", 0, 1024, {}, "s3://.+"},
  {"aws.upload", KeyType::kBool, "deploy copies the files to source; false: you do, as --render lists them.", "true"},
  {"aws.machine_image", KeyType::kText, "Image of the machines, with the AWS command line and GPU drivers.", "", 0, 128, {}, "ami-[0-9a-f]+"},
  {"aws.instance_type", KeyType::kText, "Type of machine.", "", 0, 64, {}, kWord},
  {"aws.instance_types", KeyType::kTexts, "Further types that will do.", "", 0, 64, {}, kWord},
  {"aws.vpc", KeyType::kText, "Network.", "", 0, 64, {}, "vpc-[0-9a-f]+"},
  {"aws.subnets", KeyType::kTexts, "At least two, in different zones.", "", 0, 64, {}, "subnet-[0-9a-f]+"},
  {"aws.allow_from", KeyType::kTexts, "Address ranges of clients.", "10.0.0.0/8", 0, 64, {}, "[0-9.]+/[0-9]+"},
  {"aws.public", KeyType::kBool, "A load balancer with public addresses.", "false"},
  {"aws.certificate", KeyType::kText, "ARN of the certificate for HTTPS.", "plain HTTP", 0, 2048, {}, "arn:[A-Za-z0-9:/_-]+"},
  {"aws.spot", KeyType::kBool, "Spot machines above on_demand_base.", "false"},
  {"aws.on_demand_base", KeyType::kWhole, "Machines that are never spot.", "0", 0, 10000},
  {"aws.warm_pool", KeyType::kWhole, "Machines kept stopped with their files in place.", "0", 0, 10000},
  {"aws.boot_seconds", KeyType::kWhole, "How long a machine may take to start and fetch its files.", "600", 0, 86400},
  {"aws.root_device", KeyType::kText, "Root device of the image.", "/dev/xvda", 0, 64, {}, "/dev/[a-z0-9]+"},

  {"skypilot", KeyType::kSection, "The target skypilot; --render only.", ""},
  {"skypilot.source", KeyType::kText, "s3:// or gs:// folder with a copy of the tree that --render lists.", "", 0, 1024},
  {"skypilot.infra", KeyType::kText, "Where to look: aws, gcp/us-central1, k8s/CONTEXT.", "everywhere", 0, 128},
  {"skypilot.accelerators", KeyType::kText, "As SkyPilot names them: H200:8.", "from resources", 0, 128, {}, kWord},
  {"skypilot.spot", KeyType::kBool, "Spot machines with fallback to on demand.", "false"},
  {"skypilot.on_demand_base", KeyType::kWhole, "Replicas that are never spot.", "0", 0, 10000},
  {"skypilot.target_rate", KeyType::kReal, "Requests a second that one replica should carry.", "1", 0.001, 1e6},

  {"podman", KeyType::kSection, "The target podman: quadlet files.", ""},
  {"podman.image", KeyType::kText, "Where the bundle's image lies.", "localhost/BUNDLE", 0, 4096},
};
// clang-format on

std::string_view section_of(std::string_view path) {
  const std::size_t dot = path.rfind('.');
  return path.substr(0, dot == std::string_view::npos ? 0 : dot);
}

}  // namespace

std::span<const ManifestKey> deployment_keys() { return kKeys; }

const ManifestKey* find_deployment_key(std::string_view path) {
  const auto* found = std::ranges::find(kKeys, path, &ManifestKey::path);
  return found == std::end(kKeys) ? nullptr : found;
}

std::vector<std::string> deployment_key_names(std::string_view section) {
  std::vector<std::string> names;
  for (const ManifestKey& key : kKeys) {
    if (section_of(key.path) == section) names.emplace_back(packager::leaf_of(key.path));
  }
  return names;
}

std::string deployment_reference() {
  std::string text =
      "# deployment.yaml\n\n"
      "What `bundle deploy -f FILE` is told; arguments win over it, and it wins over the bundle's "
      "own\n"
      "resources, scaling and env. Unknown keys are refused with line, column and the nearest "
      "known\n"
      "one. Paths are taken from the file's folder. Examples lie in examples/deploy.\n\n"
      "| key | type | default | |\n|---|---|---|---|\n";
  for (const ManifestKey& key : kKeys) {
    text += "| `" + std::string(key.path) + "` | " + packager::describe_type(key) + " | " +
            std::string(key.fallback) + " | " + std::string(key.about) + " |\n";
  }
  return text;
}

}  // namespace bundle::cli
