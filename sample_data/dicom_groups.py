"""How enhanced MR and CT say that they were acquired: functional groups beside the planes.

MR has all that the standard asks for (dciodvfy finds no error); CT has those that a sidecar of facts would take.
"""

from __future__ import annotations

from dicom_attributes import Attributes, item

_HEAD = [item({"CodeValue": "69536005", "CodingSchemeDesignator": "SCT", "CodeMeaning": "Head"})]
_ANATOMY: Attributes = {"AnatomicRegionSequence": _HEAD, "FrameLaterality": "U"}

MR_GROUPS: dict[str, Attributes] = {
    "FrameAnatomySequence": _ANATOMY,
    "MRTimingAndRelatedParametersSequence": {
        "RepetitionTime": 2000,
        "FlipAngle": 9,
        "EchoTrainLength": 1,
        "RFEchoTrainLength": 0,
        "GradientEchoTrainLength": 1,
        "SpecificAbsorptionRateSequence": [
            item({"SpecificAbsorptionRateDefinition": "IEC_HEAD", "SpecificAbsorptionRateValue": 0.1})
        ],
        "GradientOutputType": "DB_DT",
        "GradientOutput": 40.0,
        "OperatingModeSequence": [
            item({"OperatingModeType": kind, "OperatingMode": "IEC_NORMAL"})
            for kind in ("STATIC FIELD", "RF", "GRADIENT")
        ],
    },
    "MREchoSequence": {"EffectiveEchoTime": 3.5},
    "MRAveragesSequence": {"NumberOfAverages": 1},
    "MRModifierSequence": {
        "InversionRecovery": "NO",
        "FlowCompensation": "NONE",
        "Spoiling": "NONE",
        "T2Preparation": "NO",
        "SpectrallySelectedExcitation": "NONE",
        "SpatialPresaturation": "NONE",
        "PartialFourier": "NO",
        "ParallelAcquisition": "NO",
    },
    "MRImagingModifierSequence": {
        "MagnetizationTransfer": "NONE",
        "BloodSignalNulling": "NO",
        "Tagging": "NONE",
        "TransmitterFrequency": 123.25,
        "PixelBandwidth": 300,
    },
    "MRReceiveCoilSequence": {
        "ReceiveCoilName": "HEAD",
        "ReceiveCoilManufacturerName": "",
        "ReceiveCoilType": "VOLUME",
        "QuadratureReceiveCoil": "NO",
    },
    "MRTransmitCoilSequence": {
        "TransmitCoilName": "BODY",
        "TransmitCoilManufacturerName": "",
        "TransmitCoilType": "BODY",
    },
    "MRFOVGeometrySequence": {
        "InPlanePhaseEncodingDirection": "ROW",
        "MRAcquisitionFrequencyEncodingSteps": 64,
        "MRAcquisitionPhaseEncodingStepsInPlane": 64,
        "MRAcquisitionPhaseEncodingStepsOutOfPlane": 32,
        "PercentSampling": 100,
        "PercentPhaseFieldOfView": 100,
    },
}
CT_GROUPS: dict[str, Attributes] = {
    "FrameAnatomySequence": _ANATOMY,
    "CTXRayDetailsSequence": {"KVP": 120},
    "CTExposureSequence": {"ExposureTimeInms": 500.0, "XRayTubeCurrentInmA": 200.0, "ExposureInmAs": 100.0},
    "CTReconstructionSequence": {"ReconstructionAlgorithm": "FILTER_BACK_PROJ", "ConvolutionKernel": "B30"},
}
MR_OBJECT: Attributes = {
    "ComplexImageComponent": "MAGNITUDE",
    "AcquisitionContrast": "T1",
    "MagneticFieldStrength": 3,
    "ResonantNucleus": "1H",
    "KSpaceFiltering": "NONE",
    "ApplicableSafetyStandardAgency": "IEC",
    "ProtocolName": "made protocol",
    "PulseSequenceName": "GRE",
    "MRAcquisitionType": "3D",
    "EchoPulseSequence": "GRADIENT",
    "MultiPlanarExcitation": "NO",
    "PhaseContrast": "NO",
    "TimeOfFlightContrast": "NO",
    "SteadyStatePulseSequence": "NONE",
    "EchoPlanarPulseSequence": "NO",
    "SaturationRecovery": "NO",
    "SpectrallySelectedSuppression": "NONE",
    "OversamplingPhase": "NONE",
    "GeometryOfKSpaceTraversal": "RECTILINEAR",
    "RectilinearPhaseEncodeReordering": "LINEAR",
    "SegmentedKSpaceTraversal": "SINGLE",
    "CoverageOfKSpace": "FULL",
    "NumberOfKSpaceTrajectories": 1,
}
