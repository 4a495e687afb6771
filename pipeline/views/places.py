"""
Clusters, with where they are and what they are part of; where the clouds' regions are.

A region's place is that of the city or county the cloud names in its list of regions,
to a tenth of a degree: good for a map of the world, and for nothing else. Of a data
centre, and of regions not listed here, no place is known.

Source: AWS, Google Cloud and Azure, lists of regions, 2026; coordinates of those cities.
Before: facts.py. After: dashboards/.
"""

from typing import Final

from pipeline.schema import Function, View

_PLACES: Final = {
    "aws": """us-east-1 39.0 -77.5, us-east-2 40.0 -83.0, us-west-1 37.4 -122.0, us-west-2 45.8 -119.7,
        us-gov-east-1 40.0 -83.0, us-gov-west-1 45.8 -119.7, ca-central-1 45.5 -73.6, ca-west-1 51.0 -114.1,
        mx-central-1 20.6 -100.4, sa-east-1 -23.5 -46.6, eu-west-1 53.3 -6.3, eu-west-2 51.5 -0.1,
        eu-west-3 48.9 2.4, eu-central-1 50.1 8.7, eu-central-2 47.4 8.5, eu-north-1 59.3 18.1,
        eu-south-1 45.5 9.2, eu-south-2 41.6 -0.9, af-south-1 -33.9 18.4, me-south-1 26.1 50.6,
        me-central-1 25.2 55.3, il-central-1 32.1 34.8, ap-south-1 19.1 72.9, ap-south-2 17.4 78.5,
        ap-southeast-1 1.3 103.8, ap-southeast-2 -33.9 151.2, ap-southeast-3 -6.2 106.8,
        ap-southeast-4 -37.8 145.0, ap-southeast-5 3.1 101.7, ap-southeast-6 -36.8 174.8,
        ap-southeast-7 13.8 100.5, ap-east-1 22.3 114.2, ap-east-2 25.0 121.6, ap-northeast-1 35.7 139.7,
        ap-northeast-2 37.6 127.0, ap-northeast-3 34.7 135.5, cn-north-1 39.9 116.4, cn-northwest-1 37.5 105.2""",
    "gcp": """us-east1 33.2 -80.0, us-east4 39.0 -77.5, us-east5 40.0 -83.0, us-south1 32.8 -96.8,
        us-central1 41.3 -95.9, us-west1 45.6 -121.2, us-west2 34.1 -118.2, us-west3 40.8 -111.9,
        us-west4 36.2 -115.1, northamerica-northeast1 45.5 -73.6, northamerica-northeast2 43.7 -79.4,
        northamerica-south1 20.6 -100.4, southamerica-east1 -23.5 -46.6, southamerica-west1 -33.4 -70.7,
        europe-west1 50.4 3.8, europe-west2 51.5 -0.1, europe-west3 50.1 8.7, europe-west4 53.4 6.8,
        europe-west6 47.4 8.5, europe-west8 45.5 9.2, europe-west9 48.9 2.4, europe-west10 52.5 13.4,
        europe-west12 45.1 7.7, europe-north1 60.6 27.2, europe-north2 59.3 18.1, europe-central2 52.2 21.0,
        europe-southwest1 40.4 -3.7, africa-south1 -26.2 28.0, me-west1 32.1 34.8, me-central1 25.3 51.5,
        me-central2 26.4 50.1, asia-south1 19.1 72.9, asia-south2 28.6 77.2, asia-southeast1 1.3 103.8,
        asia-southeast2 -6.2 106.8, asia-east1 24.1 120.5, asia-east2 22.3 114.2, asia-northeast1 35.7 139.7,
        asia-northeast2 34.7 135.5, asia-northeast3 37.6 127.0, australia-southeast1 -33.9 151.2,
        australia-southeast2 -37.8 145.0""",
    "azure": """eastus 37.4 -79.4, eastus2 36.7 -78.4, centralus 41.6 -93.6, northcentralus 41.9 -87.6,
        southcentralus 29.4 -98.5, westcentralus 40.9 -110.2, westus 37.8 -122.4, westus2 47.2 -119.9,
        westus3 33.4 -112.1, canadacentral 43.7 -79.4, canadaeast 46.8 -71.2, mexicocentral 20.6 -100.4,
        brazilsouth -23.5 -46.6, chilecentral -33.4 -70.7, northeurope 53.3 -6.3, westeurope 52.4 4.9,
        uksouth 51.5 -0.1, ukwest 51.5 -3.2, francecentral 48.9 2.4, francesouth 43.3 5.4,
        germanywestcentral 50.1 8.7, germanynorth 53.1 8.8, switzerlandnorth 47.4 8.5, switzerlandwest 46.2 6.1,
        norwayeast 59.9 10.8, norwaywest 58.97 5.7, swedencentral 60.7 17.1, polandcentral 52.2 21.0,
        italynorth 45.5 9.2, spaincentral 40.4 -3.7, austriaeast 48.2 16.4, israelcentral 32.1 34.8,
        qatarcentral 25.3 51.5, uaenorth 25.2 55.3, uaecentral 24.5 54.4, southafricanorth -26.2 28.0,
        southafricawest -33.9 18.4, centralindia 18.5 73.9, southindia 13.1 80.3, westindia 19.1 72.9,
        southeastasia 1.3 103.8, eastasia 22.3 114.2, indonesiacentral -6.2 106.8, malaysiawest 3.1 101.7,
        japaneast 35.7 139.7, japanwest 34.7 135.5, koreacentral 37.6 127.0, koreasouth 35.2 129.0,
        newzealandnorth -36.8 174.8, australiaeast -33.9 151.2, australiasoutheast -37.8 145.0,
        australiacentral -35.3 149.1""",
}
"""Provider to region, degrees north, degrees east."""

_VALUES: Final = ", ".join(
    f"('{provider}', '{region}', {north}::DOUBLE, {east}::DOUBLE)"
    for provider, places in _PLACES.items()
    for region, north, east in (place.split() for place in places.split(","))
)

CLUSTERS: Final = View(
    "v_clusters",
    "Which clusters are there, where, in which network and mesh?",
    {
        "cluster": "cluster",
        "provider": "cloud, or where else it runs",
        "region": "region",
        "zones": "zones",
        "network": "network its addresses are of",
        "model": "flat: addresses of its network mean one thing in every cluster there; gateway: others reach it through a gateway; null if not told",
        "mesh": "service mesh",
        "trust_domain": "SPIFFE trust domain",
        "latitude": "degrees north of the city its region is at, to a tenth; null if not known",
        "longitude": "degrees east, likewise",
    },
    f"""WITH places(provider, region, latitude, longitude) AS (VALUES {_VALUES})
    SELECT cluster, provider, region, zones, network, model, mesh, trust_domain, latitude, longitude
    FROM (FROM clusters QUALIFY row_number() OVER (PARTITION BY cluster
        ORDER BY valid_to IS NULL DESC, valid_from DESC NULLS LAST) = 1)
    LEFT JOIN networks USING (network) LEFT JOIN places USING (provider, region)""",
)

CLUSTERS_PICKED: Final = Function(
    "clusters_picked",
    "Which clusters do lists of names pick? ``coalesce(cluster, '') IN (FROM clusters_picked(...))``",
    {
        "clouds": "providers, a list; ``'*'`` among them for all",
        "regions": "regions, likewise",
        "picked": "clusters, likewise",
        "networks": "networks, likewise",
    },
    {
        "cluster": "cluster; with nothing but ``'*'`` also ``''``, for what is in no cluster that is known"
    },
    """SELECT cluster FROM v_clusters
        WHERE (list_contains(clouds, '*') OR list_contains(clouds, provider))
            AND (list_contains(regions, '*') OR list_contains(regions, region))
            AND (list_contains(picked, '*') OR list_contains(picked, cluster))
            AND (list_contains(networks, '*') OR list_contains(networks, network))
        UNION ALL SELECT '' WHERE list_contains(clouds, '*') AND list_contains(regions, '*')
            AND list_contains(picked, '*') AND list_contains(networks, '*')""",
)

ENTITIES_CALLED: Final = Function(
    "entities_called",
    "Which entities may a name mean: one itself, or all of a service, as the level of services calls it?",
    {"name": "entity; or cluster/host name, a node of `topology_edges('service', ...)`"},
    {"entity": "`v_endpoints.entity`; the name itself is always among them"},
    """SELECT name AS entity
        UNION SELECT entity FROM v_endpoints WHERE concat_ws('/', cluster, service) = name""",
)
