//! What the programs are made of, as a CycloneDX 1.5 bill of materials.

use serde_json::{Value, json};

use super::VERSION;
use super::packages::{Package, Packages};

/// The bill; the same for the same packages.
pub fn cyclonedx(packages: &Packages) -> Value {
    let components: Vec<Value> = packages.all.values().map(component).collect();
    let dependencies: Vec<Value> = packages
        .depend_on
        .iter()
        .map(|(id, on)| {
            let reference = |id: &String| packages.all.get(id).map(url);
            json!({ "ref": reference(id), "dependsOn": on.iter().filter_map(reference).collect::<Vec<_>>() })
        })
        .collect();
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application", "bom-ref": "ild", "name": "ild", "version": VERSION,
                "licenses": [{ "expression": "Apache-2.0" }],
            },
        },
        "components": components,
        "dependencies": dependencies,
    })
}

fn component(package: &Package) -> Value {
    let mut component = json!({
        "type": "library",
        "bom-ref": url(package),
        "name": package.name,
        "version": package.version,
        "purl": url(package),
    });
    if let Some(licence) = &package.license {
        // Old manifests write a slash for OR.
        component["licenses"] = json!([{ "expression": licence.replace('/', " OR ") }]);
    }
    if let Some(text) = &package.description {
        component["description"] = text.trim().into();
    }
    if let Some(place) = &package.repository {
        component["externalReferences"] = json!([{ "type": "vcs", "url": place }]);
    }
    component
}

/// The package's URL, by which other tools look it up.
fn url(package: &Package) -> String {
    format!("pkg:cargo/{}@{}", package.name, package.version)
}
