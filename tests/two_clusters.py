"""Two clusters with the same pod addresses, of which one is behind a gateway."""

INVENTORY = """
[[networks]]
name = "net-east"
model = "gateway"
[[networks]]
name = "net-west"
model = "gateway"
[[clusters]]
name = "east"
provider = "aws"
region = "us-east-1"
network = "net-east"
[[clusters]]
name = "west"
provider = "gcp"
region = "us-west1"
network = "net-west"
[[endpoints]]
network = "net-east"
ip = "10.0.0.11"
kind = "pod"
cluster = "east"
namespace = "shop"
workload = "frontend"
[[endpoints]]
network = "net-west"
ip = "10.0.0.11"
kind = "pod"
cluster = "west"
namespace = "shop"
workload = "reviews"
service = "reviews.shop"
[[gateways]]
network = "net-east"
ip = "203.0.113.20"
port = 15443
cluster = "west"
to_network = "net-west"
name = "west-gateway"
"""
