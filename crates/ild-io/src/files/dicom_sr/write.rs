//! The report as a tree of content items, and the object around it.

use std::path::Path;

use dicom_core::VR;
use dicom_core::chrono::Local;
use dicom_dictionary_std::{tags, uids};

use super::report::{MeasuredGroup, Measurement, Quantity, SrReport, SrSite};
use super::tree::{Node, Relation::*};
use crate::Result;
use crate::files::dicom_out::{Content, Item, Kind, Meaning, term, write};

const REPORT: [&str; 3] = ["126000", "DCM", "Imaging Measurement Report"];
const LANGUAGE: [&str; 3] = ["121049", "DCM", "Language of Content Item and Descendants"];
const ENGLISH: [&str; 3] = ["en", "RFC5646", "English"];
const OBSERVER_TYPE: [&str; 3] = ["121005", "DCM", "Observer Type"];
const DEVICE: [&str; 3] = ["121007", "DCM", "Device"];
const DEVICE_UID: [&str; 3] = ["121012", "DCM", "Device Observer UID"];
const DEVICE_NAME: [&str; 3] = ["121013", "DCM", "Device Observer Name"];
const DEVICE_MAKER: [&str; 3] = ["121014", "DCM", "Device Observer Manufacturer"];
const DEVICE_MODEL: [&str; 3] = ["121015", "DCM", "Device Observer Model Name"];
const PROCEDURE: [&str; 3] = ["121058", "DCM", "Procedure reported"];
const CT_OF_CHEST: [&str; 3] = ["169069000", "SCT", "CT of chest"];
const MEASUREMENTS: [&str; 3] = ["126010", "DCM", "Imaging Measurements"];
const GROUP: [&str; 3] = ["125007", "DCM", "Measurement Group"];
const TRACKING: [&str; 3] = ["112039", "DCM", "Tracking Identifier"];
const TRACKING_UID: [&str; 3] = ["112040", "DCM", "Tracking Unique Identifier"];
const FINDING: [&str; 3] = ["121071", "DCM", "Finding"];
const FINDING_SITE: [&str; 3] = ["363698007", "SCT", "Finding Site"];
const LATERALITY: [&str; 3] = ["272741003", "SCT", "Laterality"];
const TOPOGRAPHICAL: [&str; 3] = ["106233006", "SCT", "Topographical modifier"];
const SEGMENT: [&str; 3] = ["121191", "DCM", "Referenced Segment"];
const SOURCE_SERIES: [&str; 3] = ["121232", "DCM", "Source series for segmentation"];
const COMMENT: [&str; 3] = ["121106", "DCM", "Comment"];
const LUNG: [&str; 3] = ["39607008", "SCT", "Lung"];
const VOLUME: [&str; 3] = ["118565006", "SCT", "Volume"];
const SHARE: [&str; 3] = ["lung-share", "99ILD", "Share of the lung's volume"];
const MILLILITRE: [&str; 3] = ["mL", "UCUM", "milliliter"];
const PERCENT: [&str; 3] = ["%", "UCUM", "percent"];
/// Of TIDs 1411 and 1501, which differ in whether a segment outlines what was measured.
const OUTLINED: &str = "1411";
const MEASURED: &str = "1501";
/// Series of reports lie this far above those of segmentations.
const NUMBER_ABOVE: u32 = 100;

/// Writes the report beside `path` and renames it. UIDs are made of the content: the same numbers of
/// the same series have the same.
///
/// # Errors
/// When the file cannot be written.
pub fn write_dicom_sr(path: &Path, report: &SrReport) -> Result<()> {
    let content = report.content();
    let kind = Kind {
        class: uids::COMPREHENSIVE3_DSR_STORAGE,
        modality: "SR",
        description: "ild measurements, research use",
        number: NUMBER_ABOVE,
        writer: report.writer,
    };
    let now = Local::now();
    let item = report
        .series
        .head(&content, kind)
        .sequence(tags::REFERENCED_PERFORMED_PROCEDURE_STEP_SEQUENCE, vec![])
        .text(tags::CONTENT_DATE, VR::DA, now.format("%Y%m%d").to_string())
        .text(tags::CONTENT_TIME, VR::TM, now.format("%H%M%S").to_string())
        .text(tags::COMPLETION_FLAG, VR::CS, "COMPLETE")
        .text(tags::VERIFICATION_FLAG, VR::CS, "UNVERIFIED")
        .text(tags::PRELIMINARY_FLAG, VR::CS, "PRELIMINARY")
        .sequence(tags::PERFORMED_PROCEDURE_CODE_SEQUENCE, vec![])
        .sequence(tags::CURRENT_REQUESTED_PROCEDURE_EVIDENCE_SEQUENCE, vec![report.evidence()])
        .with(report.tree(&content).item().0);
    write(path, item)
}

impl SrReport<'_> {
    /// Everything that makes this report another one than any other.
    fn content(&self) -> Content {
        let mask = self.mask.map_or("", |mask| mask.instance.as_str());
        let mut content =
            Content::default().with("measurements").with(self.series.uid()).with(mask);
        for part in self.writer.iter().copied().chain(self.notices.iter().map(String::as_str)) {
            content = content.with(part);
        }
        for group in self.groups {
            content = content.with(&group.label.name);
            for m in &group.measurements {
                let what = format!("{:?} {:?}", m.quantity, m.site);
                content = content.with(what).with(m.value.to_le_bytes());
            }
        }
        content
    }

    /// The objects that were looked at.
    fn evidence(&self) -> Item {
        let series = |uid: &str, instances| {
            Item::new()
                .text(tags::SERIES_INSTANCE_UID, VR::UI, uid)
                .sequence(tags::REFERENCED_SOP_SEQUENCE, instances)
        };
        let mut all = vec![series(self.series.uid(), self.series.instances())];
        if let Some(mask) = self.mask {
            let instance = Item::new()
                .text(tags::REFERENCED_SOP_CLASS_UID, VR::UI, &mask.class)
                .text(tags::REFERENCED_SOP_INSTANCE_UID, VR::UI, &mask.instance);
            all.push(series(&mask.series, vec![instance]));
        }
        Item::new()
            .text(tags::STUDY_INSTANCE_UID, VR::UI, self.series.study())
            .sequence(tags::REFERENCED_SERIES_SEQUENCE, all)
    }

    fn tree(&self, content: &Content) -> Node {
        let [program, version] = self.writer;
        let mut measured = Node::container(MEASUREMENTS, None);
        for group in self.groups {
            measured = measured.with(Contains, self.group(group, content));
        }
        let maker = self.maker;
        let made_by = format!("Mask: {} {}. {}", maker.name, maker.version, maker.stamp);
        let use_ =
            "For research use: a description of a mask, not a finding; not a medical device."
                .to_owned();
        let root = Node::container(REPORT, Some("1500"))
            .with(Modifies, Node::code(LANGUAGE, &term(ENGLISH)))
            .with(Context, Node::code(OBSERVER_TYPE, &term(DEVICE)))
            .with(Context, Node::uid(DEVICE_UID, &Content::default().with(program).uid("device")))
            .with(Context, Node::text(DEVICE_NAME, &format!("{program} {version}")))
            .with(Context, Node::text(DEVICE_MAKER, "ild"))
            .with(Context, Node::text(DEVICE_MODEL, program))
            .with(Modifies, Node::code(PROCEDURE, &term(CT_OF_CHEST)));
        let root = root.with(Contains, measured);
        // What a reader has to know stands last, where viewers show it below the numbers.
        [use_, made_by]
            .iter()
            .chain(self.notices)
            .fold(root, |root, notice| root.with(Contains, Node::text(COMMENT, notice.trim())))
    }

    fn group(&self, group: &MeasuredGroup, content: &Content) -> Node {
        let name = &group.label.name;
        let segment = self.mask.and_then(|mask| Some((mask, mask.segments.id_of(name)?)));
        let template = if segment.is_some() { OUTLINED } else { MEASURED };
        let meaning = Meaning::of(&group.label);
        let mut node = Node::container(GROUP, Some(template))
            .with(Context, Node::text(TRACKING, name))
            .with(Context, Node::uid(TRACKING_UID, &content.uid(&format!("group {name}"))))
            .with(Contains, Node::code(FINDING, &meaning.kind));
        if meaning.region.is_some() {
            node = node.with(Modifies, Node::code(FINDING_SITE, &term(LUNG)));
        }
        if let Some((mask, number)) = segment {
            let segment = Node::segment(SEGMENT, &mask.class, &mask.instance, number.into());
            node = node
                .with(Contains, segment)
                .with(Contains, Node::uid(SOURCE_SERIES, self.series.uid()));
        }
        group.measurements.iter().fold(node, |node, m| node.with(Contains, number(m)))
    }
}

fn number(measurement: &Measurement) -> Node {
    let (name, unit) = match measurement.quantity {
        Quantity::VolumeMl => (VOLUME, MILLILITRE),
        Quantity::PercentOfLung => (SHARE, PERCENT),
    };
    let node = Node::number(name, measurement.value, unit);
    let lung = || Node::code(FINDING_SITE, &term(LUNG));
    let part = |name, code| node_of(lung(), name, code);
    let site = match measurement.site {
        SrSite::WholeMask => return node,
        SrSite::Lungs => lung(),
        SrSite::Left => part(LATERALITY, ["7771000", "SCT", "Left"]),
        SrSite::Right => part(LATERALITY, ["24028007", "SCT", "Right"]),
        SrSite::UpperThird => {
            part(TOPOGRAPHICAL, ["upper-third", "99ILD", "Upper third of the lungs' height"])
        }
        SrSite::MiddleThird => {
            part(TOPOGRAPHICAL, ["middle-third", "99ILD", "Middle third of the lungs' height"])
        }
        SrSite::LowerThird => {
            part(TOPOGRAPHICAL, ["lower-third", "99ILD", "Lower third of the lungs' height"])
        }
        SrSite::Rim => {
            part(TOPOGRAPHICAL, ["rim", "99ILD", "Within 10 mm of the lung mask's edge"])
        }
        SrSite::Core => {
            part(TOPOGRAPHICAL, ["core", "99ILD", "Farther than 10 mm from the lung mask's edge"])
        }
    };
    node.with(Modifies, site)
}

fn node_of(site: Node, name: [&str; 3], code: [&str; 3]) -> Node {
    site.with(Modifies, Node::code(name, &term(code)))
}
