"""What a DLC pro of firmware 3.3.3 has: parameters and commands, by type of node.

Written by ``python -m simulators.instruments.toptica.generate_table`` from the module ``dlcpro/v3_3_3.py`` of
toptica-lasersdk; don't edit. The SDK is under the MIT License, Copyright (c) 2018-2025 TOPTICA Photonics SE.

`PARAMETERS`: type of node to its parameters, each ``name=kind``. Kinds: b boolean, i integer, r real, s string,
x binary, capitals can be written; C is a pair of reals that can be written; any other word is a type of node.

`COMMANDS`: type of node to its commands, each ``name(arguments)``, then ``<kind`` of its input stream, ``>kind`` of
its output stream, ``=kind`` of its return value.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["COMMANDS", "PARAMETERS", "ROOT"]

ROOT = "DLCpro"

PARAMETERS: Mapping[str, str] = {
    "Laser": (
        "type=s product-name=s label=S emission=b enabled=B enabled-valid=b health=i health-txt=s busy=b "
        "dl=LaserHead ctl=CtlT amp=LaserAmp dpss=Dpss1 scan=ScanGenerator wide-scan=WideScan scope=ScopeT "
        "recorder=Recorder scan-aux=ScanGenerator daq-connected=B nlo=Nlo uv=UvShg pd-ext=PdExt "
        "power-stabilization=PwrStab hf-cavity=HfCavity config=LaserConfig diagnosis=LaserDiagnosis "
        "components=LaserComponents"
    ),
    "LaserHead": (
        "legacy=b type=s version=s model=s serial-number=s fru-serial-number=s ontime=i ontime-txt=s cc=CurrDrv1 "
        "tc=TcChannel1 pc=PiezoDrv1 lock=Lock pressure-compensation=PressureCompensation pd=DlPd "
        "power-optimization=ScbPowerOptimization servo=ServoControlServosNamed eom=PiezoDrv1 motor=DlMotorStepper "
        "factory-settings=LhFactory"
    ),
    "CurrDrv1": (
        "path=s variant=s enabled=B emission=b current-set=R current-offset=R current-set-dithering=B "
        "external-input=ExtInput1 output-filter=OutputFilter1 current-act=r positive-polarity=B current-clip=R "
        "current-clip-tuning=r use-current-clip-tuning=B current-clip-limit=r voltage-act=r voltage-clip=R "
        "feedforward-master=I feedforward-enabled=B feedforward-factor=R pd=r aux=r snubber=B status=i status-txt=s "
        "forced-off=B"
    ),
    "ExtInput1": "signal=I factor=R enabled=B",
    "OutputFilter1": "slew-rate=R slew-rate-enabled=B slew-rate-limited=b",
    "TcChannel1": (
        "path=s enabled=B temp-act=r temp-set=R external-input=ExtInput1 ready=b fault=b status=i status-txt=s "
        "t-loop=TcChannelTLoop1 c-loop=TcChannelCLoop2 limits=TcChannelCheck1 current-set=r current-set-min=R "
        "current-set-max=R current-act=r voltage-act=r resistance=r ntc-series-resistance=r "
        "ntc-parallel-resistance=r temp-set-min=R temp-set-max=R temp-reset=B temp-roc-enabled=B temp-roc-limit=R "
        "power-source=i drv-voltage=r"
    ),
    "TcChannelTLoop1": "on=B p-gain=R i-gain=R d-gain=R ok-tolerance=R ok-time=R",
    "TcChannelCLoop2": "on=B i-gain=R",
    "TcChannelCheck1": "temp-min=R temp-max=R timeout=I timed-out=b out-of-range=b",
    "PiezoDrv1": (
        "path=s enabled=B voltage-set=R voltage-min=R voltage-max=R voltage-set-dithering=B external-input=ExtInput1 "
        "output-filter=OutputFilter1 voltage-act=r voltage-out=r feedforward-master=I feedforward-enabled=B "
        "feedforward-factor=R heatsink-temp=r status=i status-txt=s"
    ),
    "Lock": (
        "type=I lock-without-lockpoint=B state=i state-txt=s lock-enabled=B hold=B di-hold-enabled=B "
        "spectrum-input-channel=I error-channel=I error-channel-inverted=B pdh-selection=I pid-selection=I "
        "falc-selection=I setpoint=R relock=AlRelock reset=AlReset window=AlWindow pid1=Pid pid2=Pid lockin=Lockin "
        "lockpoint=AlLockpoint candidate-filter=AlCandidateFilter candidates=x locking-delay=I background-trace=x "
        "lock-tracking=C"
    ),
    "AlRelock": "enabled=B output-channel=I frequency=R amplitude=R delay=R",
    "AlReset": "enabled=B",
    "AlWindow": "enabled=B input-channel=I level-high=R level-low=R level-hysteresis=R",
    "Pid": (
        "enabled=B gain=Gain sign=B slope=B setpoint=R input-channel=I output-channel=I outputlimit=Outputlimit "
        "hold=B lock-state=b hold-state=b regulating-state=b hold-output-on-unlock=B"
    ),
    "Gain": "all=R p=R i=R d=R i-cutoff=R i-cutoff-enabled=B fc-ip=r fc-pd=r",
    "Outputlimit": "enabled=B max=R",
    "Lockin": (
        "modulation-enabled=B input-channel=I modulation-output-channel=I frequency=R amplitude=R phase-shift=R "
        "lock-level=R auto-lir=AutoLir"
    ),
    "AutoLir": "state=i progress=i",
    "AlLockpoint": "position=C type=s",
    "Coordinate": "",
    "AlCandidateFilter": (
        "top=B bottom=B positive-edge=B negative-edge=B edge-level=R peak-noise-tolerance=R edge-min-distance=I "
        "top-of-fringe-low-pass=B"
    ),
    "PressureCompensation": "enabled=B air-pressure=r factor=R offset=r compensation-voltage=r",
    "DlPd": "seed=PdCal seed-probe=ServoControlPdCal fiber=ServoControlPdCal",
    "PdCal": "input-channel=I photodiode=r power=r cal-offset=R cal-factor=R",
    "ServoControlPdCal": "photodiode=r power=r cal-offset=R cal-factor=R",
    "ScbPowerOptimization": (
        "ongoing=b progress=i status=i status-string=s fiber-advanced=B stage1=ScbStage stage2=ScbStage "
        "stage3=ScbStage stage4=ScbStage progress-data-seed-probe=x progress-data-amp=x progress-data-fiber=x "
        "abort=B"
    ),
    "ScbStage": (
        "input=ScbOptInput progress=i optimization-in-progress=b restore-on-abort=B restore-on-regress=B "
        "regress-tolerance=I autosave-actuator-values=B"
    ),
    "ScbOptInput": "value-calibrated=r",
    "ServoControlServosNamed": (
        "probe1-hor=ServoControlServo probe1-vert=ServoControlServo ta1-hor=ServoControlServo "
        "ta1-vert=ServoControlServo ta2-hor=ServoControlServo ta2-vert=ServoControlServo "
        "fiber1-hor=ServoControlServo fiber1-vert=ServoControlServo"
    ),
    "ServoControlServo": "display-name=s enabled=B value=I",
    "DlMotorStepper": (
        "position-set=I position-act=i position-min=i position-max=i state=i state-txt=s wavelength-set=R "
        "wavelength-act=r scan=DlMotorScan calibration=DlMotorCalibration cycle-count=i"
    ),
    "DlMotorScan": (
        "speed=R speed-max=r shape=I scan-begin=R scan-end=R progress=i remaining-time=i continuous-mode=B "
        "restore-on-end=B threshold-trigger=DlMotorThresholdTrigger"
    ),
    "DlMotorThresholdTrigger": "threshold=R",
    "DlMotorCalibration": "fit-a=r fit-b=r fit-c=r backlash=I wavelength-min=r wavelength-max=r",
    "LhFactory": (
        "wavelength=R threshold-current=R power=R cc=LhFactoryCc tc=TcFactorySettings2 pc=DlPcFactorySettings "
        "eom=PcFactorySettings pd=DlPdFactorySettings motor=DlMotorFactorySettings "
        "servo-control=ServoControlFactorySettings powerlock-output-channel-override=I latest-service=s "
        "last-modified=s modified=b"
    ),
    "LhFactoryCc": (
        "feedforward-factor=R current-set=R current-clip=R current-clip-tuning=R current-clip-modified=b "
        "current-clip-last-modified=s voltage-clip=R positive-polarity=B snubber=B"
    ),
    "TcFactorySettings2": (
        "temp-min=R temp-max=R temp-set=R temp-roc-enabled=B temp-roc-limit=R current-max=R current-min=R p-gain=R "
        "i-gain=R d-gain=R c-gain=R ok-tolerance=R ok-time=R timeout=I power-source=I ntc-series-resistance=R "
        "ntc-parallel-resistance=R output-inverted=b"
    ),
    "DlPcFactorySettings": (
        "voltage-min=R voltage-max=R feedforward-enabled=B feedforward-factor=R capacitance=R scan-offset=R "
        "scan-amplitude=R slew-rate=R slew-rate-enabled=B pressure-compensation-factor=R"
    ),
    "PcFactorySettings": (
        "voltage-min=R voltage-max=R feedforward-enabled=B feedforward-factor=R capacitance=R scan-offset=R"
    ),
    "DlPdFactorySettings": "seed=PdCalFactorySettings",
    "PdCalFactorySettings": "cal-offset=R cal-factor=R",
    "DlMotorFactorySettings": (
        "position-min=i position-max=i wavelength-set=R speed-max-raw=i calibration=DlMotorCalibrationFactorySettings"
    ),
    "DlMotorCalibrationFactorySettings": (
        "fit-a=R fit-b=R fit-c=R backlash=I inaccuracy=R wavelength-min=R wavelength-max=R"
    ),
    "ServoControlFactorySettings": (
        "probe1-hor=S probe1-vert=S ta1-hor=S ta1-vert=S ta2-hor=S ta2-vert=S fiber1-hor=S fiber1-vert=S probe-pd=S "
        "ta-pd=S fiber-pd=S"
    ),
    "CtlT": (
        "fpga-fw-ver=i model=s wavelength-set=R wavelength-act=r wavelength-min=r wavelength-max=r "
        "tuning-current-min=r tuning-power-min=r state=i state-txt=s head-temperature=r "
        "optimization=CtlOptimizationT remote-control=CtlRemoteControl mode-control=CtlModeControl motor=CtlMotor "
        "power=CtlPower factory-settings=CtlFactory"
    ),
    "CtlOptimizationT": "progress=i",
    "CtlRemoteControl": "signal=I factor=R enabled=B",
    "CtlModeControl": "loop-enabled=B",
    "CtlMotor": (
        "position-accuracy-fullstep=I position-hysteresis-fullstep=I position-accuracy-microstep=I "
        "position-hysteresis-microstep=I microsteps=B power-save-disabled=B calibration=CtlMotorCalibration status=i "
        "status-txt=s"
    ),
    "CtlMotorCalibration": "wavelength-offset=R",
    "CtlPower": "power-act=r",
    "CtlFactory": "wavelength-min=r wavelength-max=r tuning-current-min=r tuning-power-min=r",
    "LaserAmp": (
        "legacy=b type=s version=s model=s serial-number=s fru-serial-number=s ontime=i ontime-txt=s "
        "cc=AmpccHighlevelChannel tc=TcChannel1 pd=AmpPd power-optimization=ScbPowerOptimization "
        "servo=ServoControlServosNamed seed-limits=AmpPower output-limits=AmpPower seedonly-check=AmpSeedonlyCheck "
        "factory-settings=AmpFactory"
    ),
    "AmpccHighlevelChannel": (
        "path=s variant=s enabled=B emission=b current-set=R current-offset=R external-input=ExtInput1 "
        "output-filter=OutputFilter1 current-act=r current-clip=R current-clip-tuning=r use-current-clip-tuning=B "
        "current-clip-limit=r voltage-act=r voltage-out=r voltage-clip=R feedforward-master=I feedforward-enabled=B "
        "feedforward-factor=R status=i status-txt=s forced-off=B"
    ),
    "AmpPd": "seed=PdCal seed-probe=ServoControlPdCal amp=PdCal fiber=ServoControlPdCal",
    "AmpPower": (
        "power=r power-min=R power-min-warning-delay=R power-min-shutdown-delay=R power-max=R "
        "power-max-warning-delay=R power-max-shutdown-delay=R detect-pd-removal=B status=i status-txt=s"
    ),
    "AmpSeedonlyCheck": "seed=b pump=b warning-delay=R shutdown-delay=R status=i status-txt=s",
    "AmpFactory": (
        "wavelength=R power=R cc=AmpFactoryCc tc=TcFactorySettings2 pd=AmpPdFactorySettings "
        "seed-limits=AmpFactoryPower output-limits=AmpFactoryPower seedonly-check=AmpFactorySeedonly "
        "servo-control=ServoControlFactorySettings latest-service=s last-modified=s modified=b"
    ),
    "AmpFactoryCc": (
        "feedforward-factor=R current-set=R current-clip=R current-clip-tuning=R current-clip-modified=b "
        "current-clip-last-modified=s voltage-clip=R"
    ),
    "AmpPdFactorySettings": "seed=PdCalFactorySettings amp=PdCalFactorySettings",
    "AmpFactoryPower": (
        "power-min=R power-min-warning-delay=R power-min-shutdown-delay=R power-max=R power-max-warning-delay=R "
        "power-max-shutdown-delay=R detect-pd-removal=b"
    ),
    "AmpFactorySeedonly": "warning-delay=R shutdown-delay=R",
    "Dpss1": (
        "enabled=B status=i status-txt=s tc-status=i tc-status-txt=s error-code=i error-txt=s operation-time=r "
        "power-set=R power-act=r power-max=r power-margin=r current-act=r current-max=r "
        "temperature-control=DpssTemperatureParameters1"
    ),
    "DpssTemperatureParameters1": (
        "t1=DpssTemperatureControlParameters1 t2=DpssTemperatureControlParameters1 "
        "t3=DpssTemperatureControlParameters1 t4=DpssTemperatureControlParameters1 "
        "t5=DpssTemperatureControlParameters1"
    ),
    "DpssTemperatureControlParameters1": "temp-act=r temp-set=R temp-set-min=R temp-set-max=R temp-roc-limit=R",
    "ScanGenerator": (
        "enabled=B hold=B signal-type=I frequency=R phase-shift=R output-channel=I unit=s amplitude=R offset=R "
        "start=R end=R"
    ),
    "WideScan": (
        "state=i state-txt=s output-channel=I scan-begin=R scan-end=R continuous-mode=B restore-on-end=B shape=I "
        "offset=R amplitude=R speed=R speed-min=r speed-max=r duration=R value-set=R value-act=r value-unit=s "
        "recorder-stepsize-set=R recorder-stepsize=r recorder-sample-count=i recorder-sampling-rate=r "
        "recorder-sampling-interval=r memory-size=i progress=i remaining-time=i trigger=WideScanTrigger"
    ),
    "WideScanTrigger": "input-enabled=B input-channel=I output-threshold=R",
    "ScopeT": (
        "variant=I update-rate=I channel1=ScopeChannelT channel2=ScopeChannelT channelx=ScopeXAxisT timescale=R "
        "data=x"
    ),
    "ScopeChannelT": "signal=I enabled=B unit=s name=s",
    "ScopeXAxisT": "xy-signal=I scope-timescale=R spectrum-range=R spectrum-omit-dc=B unit=s name=s",
    "Recorder": (
        "state=i state-txt=s enabled=B trigger-mode=I inputs=RecorderInputChannels recording-mode=I recording-time=R "
        "sample-count-limit=I sample-count-set=I sample-count=i sampling-interval=r sampling-rate=r memory-size=i "
        "data=RecorderData"
    ),
    "RecorderInputChannels": (
        "channel1=RecorderInputChannel channel2=RecorderInputChannel channelx=RecorderInputChannelx"
    ),
    "RecorderInputChannel": "signal=I low-pass-filter=RecorderLowPassFilter",
    "RecorderLowPassFilter": "enabled=B cut-off-frequency=R",
    "RecorderInputChannelx": "signal=I",
    "RecorderData": (
        "channel1=RecorderDataChannel channel2=RecorderDataChannel channelx=RecorderDataChannel zoom-data=x "
        "zoom-offset=R zoom-amplitude=R recorded-sampling-interval=r recorded-sample-count=i last-recorded-sample=i "
        "last-valid-sample=i memory-size=i"
    ),
    "RecorderDataChannel": "signal=i unit=s name=s",
    "Nlo": (
        "servo=NloLaserHeadServos pd=NloPhotoDiodes power-optimization=NloPowerOptimization auto-nlo=AutoNlo shg=Shg "
        "fhg=Fhg opo=Opo ssw-ver=s"
    ),
    "NloLaserHeadServos": (
        "ta1-hor=NloLaserHeadServoPwm1 ta1-vert=NloLaserHeadServoPwm1 ta2-hor=NloLaserHeadServoPwm1 "
        "ta2-vert=NloLaserHeadServoPwm1 shg1-hor=NloLaserHeadServoPwm1 shg1-vert=NloLaserHeadServoPwm1 "
        "shg2-hor=NloLaserHeadServoPwm1 shg2-vert=NloLaserHeadServoPwm1 fhg1-hor=NloLaserHeadServoPwm1 "
        "fhg1-vert=NloLaserHeadServoPwm1 fhg2-hor=NloLaserHeadServoPwm1 fhg2-vert=NloLaserHeadServoPwm1 "
        "fiber1-hor=NloLaserHeadServoPwm1 fiber1-vert=NloLaserHeadServoPwm1 fiber2-hor=NloLaserHeadServoPwm1 "
        "fiber2-vert=NloLaserHeadServoPwm1 uv-outcpl=NloLaserHeadServoPwm1 uv-cryst=NloLaserHeadServoPwm1 "
        "uv-lens=NloLaserHeadServoPwm1 comp-hor=NloLaserHeadServoPwm1 comp-vert=NloLaserHeadServoPwm1 "
        "etalon=NloLaserHeadServoPwm1"
    ),
    "NloLaserHeadServoPwm1": "display-name=s enabled=B value=I",
    "NloPhotoDiodes": (
        "dl=NloLaserHeadNloPhotodiode1 amp=NloLaserHeadNloPhotodiode1 fiber=NloLaserHeadNloPhotodiode1 "
        "shg=NloLaserHeadNloPhotodiode1 shg-input=PdCal shg-int=NloLaserHeadNloDigilockPhotodiode1 "
        "shg-pdh-dc=NloLaserHeadNloDigilockPhotodiode1 shg-pdh-rf=NloLaserHeadNloPdhPhotodiode1 "
        "fhg=NloLaserHeadNloPhotodiode1 fhg-int=NloLaserHeadNloDigilockPhotodiode1 "
        "fhg-pdh-dc=NloLaserHeadNloDigilockPhotodiode1 fhg-pdh-rf=NloLaserHeadNloPdhPhotodiode1 "
        "pump=NloLaserHeadNloPhotodiode1 pump-dep=NloLaserHeadNloPhotodiode1 sig=NloLaserHeadNloPhotodiode1"
    ),
    "NloLaserHeadNloPhotodiode1": "power=r photodiode=r cal-offset=R cal-factor=R",
    "NloLaserHeadNloDigilockPhotodiode1": "photodiode=r cal-offset=R",
    "NloLaserHeadNloPdhPhotodiode1": "photodiode=r gain=R",
    "NloPowerOptimization": (
        "ongoing=b progress=i status=i status-string=s last-time-optimized=s shg-advanced=B stage1=NloStage1 "
        "stage2=NloStage1 stage3=NloStage1 stage4=NloStage1 stage5=NloStage1 progress-data-amp=x progress-data-shg=x "
        "progress-data-fiber=x progress-data-fhg=x abort=B"
    ),
    "NloStage1": (
        "input=NloOptInput1 progress=i optimization-allowed=b optimization-in-progress=b restore-on-abort=B "
        "restore-on-regress=B regress-tolerance=I autosave-actuator-values=B"
    ),
    "NloOptInput1": "value-calibrated=r",
    "AutoNlo": (
        "automatic-mode=B laser-on=B emission=b operation-time-master=r operation-time-amplifier=r "
        "operation-time-cavity=r operation-time-cavity-fhg=r amplifier-current-margin=r conversion-efficiency=r "
        "conversion-efficiency-fhg=r wavelength-set=R wavelength=r wavemeter=AutoNloWavemeter"
    ),
    "AutoNloWavemeter": (
        "serial-number=S status=i status-txt=s wavelength-before-optimization=r wavelength-after-optimization=r "
        "wavelength-temp-coeff=r exposure-time=i"
    ),
    "Shg": (
        "tc=TcChannel1 cavity-tc=TcChannel1 pc=PiezoDrv1 scan=NloLaserHeadSiggen1 scope=NloLaserHeadScopeT1 "
        "lock=NloLaserHeadLockShg1 factory-settings=ShgFactorySettings"
    ),
    "NloLaserHeadSiggen1": "enabled=B frequency=R amplitude=R offset=R",
    "NloLaserHeadScopeT1": (
        "variant=I update-rate=I channel1=NloLaserHeadScopeChannelT1 channel2=NloLaserHeadScopeChannelT1 "
        "channelx=NloLaserHeadScopeXAxisT1 timescale=R data=x"
    ),
    "NloLaserHeadScopeChannelT1": "signal=I enabled=B unit=s name=s",
    "NloLaserHeadScopeXAxisT1": "xy-signal=I scope-timescale=R spectrum-range=R spectrum-omit-dc=B unit=s name=s",
    "NloLaserHeadLockShg1": (
        "state=i state-txt=s lock-enabled=B pid-selection=I setpoint=R continuous-calc-pid=B "
        "relock=NloLaserHeadRelock1 window=NloLaserHeadWindow1 calibration=NloLaserHeadCalibration2 "
        "pid1=NloLaserHeadPid1 pid2=NloLaserHeadPid1 analog-dl-gain=NloLaserHeadMinifalc1 "
        "local-oscillator=NloLaserHeadLocalOscillatorShg1 cavity-fast-pzt-voltage=R cavity-slow-pzt-voltage=R "
        "background-trace=x candidates=x"
    ),
    "NloLaserHeadRelock1": "enabled=B frequency=R amplitude=R delay=R",
    "NloLaserHeadWindow1": (
        "input-channel=I threshold=R level-hysteresis=R calibration=NloLaserHeadWindowCalibration2"
    ),
    "NloLaserHeadWindowCalibration2": "power-min=R power-max=R threshold-min=R threshold-max=R",
    "NloLaserHeadCalibration2": (
        "power-min=R power-max=R power-hysteresis=R pid2-all-min=R pid2-all-max=R pid2-p-min=R pid2-p-max=R "
        "pid1-all-min=R pid1-all-max=R pid1-p-min=R pid1-p-max=R analog-p-min=R analog-p-max=R shg-pdh-rf-gain-min=R "
        "shg-pdh-rf-gain-max=R lo-amplitude-min=R lo-amplitude-max=R threshold-min=R threshold-max=R"
    ),
    "NloLaserHeadPid1": "gain=NloLaserHeadGain1",
    "NloLaserHeadGain1": "all=R p=R i=R d=R i-cutoff=R i-cutoff-enabled=B",
    "NloLaserHeadMinifalc1": "p-gain=R",
    "NloLaserHeadLocalOscillatorShg1": (
        "enabled=B coupled-modulation=B use-fast-oscillator=B use-external-oscillator=B amplitude=R "
        "attenuation-raw=I phase-shift=R auto-pdh-state=i"
    ),
    "ShgFactorySettings": (
        "modified=b tc=NloLaserHeadTcFactorySettings cavity-tc=NloLaserHeadTcFactorySettings "
        "pc=NloLaserHeadPcFactorySettings pd=NloLaserHeadShgPhotodiodesFactorySettings "
        "lock=NloLaserHeadLockFactorySettings auto-nlo=NloLaserHeadAutoNloFactorySettings"
    ),
    "NloLaserHeadTcFactorySettings": (
        "temp-min=R temp-max=R temp-set=R temp-roc-enabled=B temp-roc-limit=R current-max=R current-min=R p-gain=R "
        "i-gain=R d-gain=R c-gain=R ok-tolerance=R ok-time=R timeout=I power-source=I ntc-series-resistance=R"
    ),
    "NloLaserHeadPcFactorySettings": (
        "voltage-min=R voltage-max=R feedforward-enabled=B feedforward-factor=R capacitance=R scan-offset=R "
        "scan-amplitude=R scan-frequency=R"
    ),
    "NloLaserHeadShgPhotodiodesFactorySettings": (
        "shg=NloLaserHeadPdFactorySettings1 shg-input=NloLaserHeadPdFactorySettings2 "
        "fiber=NloLaserHeadPdFactorySettings1 int=NloLaserHeadPdDigilockFactorySettings "
        "pdh-dc=NloLaserHeadPdDigilockFactorySettings pdh-rf=NloLaserHeadPdPdhFactorySettings"
    ),
    "NloLaserHeadPdFactorySettings1": "cal-offset=R cal-factor=R",
    "NloLaserHeadPdFactorySettings2": "cal-offset=R cal-factor=R",
    "NloLaserHeadPdDigilockFactorySettings": "cal-offset=R",
    "NloLaserHeadPdPdhFactorySettings": "gain=R",
    "NloLaserHeadLockFactorySettings": (
        "pid-selection=I setpoint=R calibration=NloLaserHeadCalibration1 relock=NloLaserHeadRelockFactorySettings "
        "window=NloLaserHeadLockWindowFactorySettings pid1-gain=NloLaserHeadPidGainFactorySettings "
        "pid2-gain=NloLaserHeadPidGainFactorySettings analog-p-gain=R "
        "local-oscillator=NloLaserHeadLocalOscillatorFactorySettings"
    ),
    "NloLaserHeadCalibration1": (
        "power-min=R power-max=R power-hysteresis=R pid2-all-min=R pid2-all-max=R pid2-p-min=R pid2-p-max=R "
        "pid1-all-min=R pid1-all-max=R pid1-p-min=R pid1-p-max=R analog-p-min=R analog-p-max=R shg-pdh-rf-gain-min=R "
        "shg-pdh-rf-gain-max=R lo-amplitude-min=R lo-amplitude-max=R threshold-min=R threshold-max=R"
    ),
    "NloLaserHeadRelockFactorySettings": "enabled=B frequency=R amplitude=R delay=R",
    "NloLaserHeadLockWindowFactorySettings": "input-channel=I threshold=R level-hysteresis=R",
    "NloLaserHeadPidGainFactorySettings": "all=R p=R i=R d=R i-cutoff=R i-cutoff-enabled=B",
    "NloLaserHeadLocalOscillatorFactorySettings": (
        "enabled=B use-fast-oscillator=B coupled-modulation=B attenuation-shg-raw=I attenuation-fhg-raw=I "
        "phase-shift-shg=R phase-shift-fhg=R"
    ),
    "NloLaserHeadAutoNloFactorySettings": "optimization-settings=NloLaserHeadAutoNloOptFactorySettings",
    "NloLaserHeadAutoNloOptFactorySettings": (
        "pressure-compensation-enabled=B auto-align-amplifier-enabled=B auto-align-cavity-enabled=B "
        "auto-align-advanced-enabled=B"
    ),
    "Fhg": (
        "tc=TcChannel1 cavity-tc=TcChannel1 pc=PiezoDrv1 scan=NloLaserHeadSiggen1 scope=NloLaserHeadScopeT1 "
        "lock=NloLaserHeadLockFhg factory-settings=FhgFactorySettings"
    ),
    "NloLaserHeadLockFhg": (
        "state=i state-txt=s lock-enabled=B pid-selection=I setpoint=R relock=NloLaserHeadRelock1 "
        "window=NloLaserHeadWindow1 pid1=NloLaserHeadPid1 pid2=NloLaserHeadPid1 "
        "local-oscillator=NloLaserHeadLocalOscillatorFhg cavity-fast-pzt-voltage=R cavity-slow-pzt-voltage=R "
        "background-trace=x candidates=x"
    ),
    "NloLaserHeadLocalOscillatorFhg": (
        "enabled=B coupled-modulation=B use-fast-oscillator=B amplitude=R attenuation-raw=I phase-shift=R "
        "auto-pdh-state=i"
    ),
    "FhgFactorySettings": (
        "modified=b tc=NloLaserHeadTcFactorySettings cavity-tc=NloLaserHeadTcFactorySettings "
        "pc=NloLaserHeadPcFactorySettings pd=NloLaserHeadFhgPhotodiodesFactorySettings "
        "lock=NloLaserHeadLockFactorySettings"
    ),
    "NloLaserHeadFhgPhotodiodesFactorySettings": (
        "fhg=NloLaserHeadPdFactorySettings1 int=NloLaserHeadPdDigilockFactorySettings "
        "pdh-dc=NloLaserHeadPdDigilockFactorySettings pdh-rf=NloLaserHeadPdPdhFactorySettings"
    ),
    "Opo": "crystal=OpoCrystal cavity=OpoCavity factory-settings=OpoFactorySettings",
    "OpoCrystal": "tc=TcChannel1",
    "OpoCavity": (
        "tc=TcChannel1 pc=PiezoDrv1 pc-fast=OpoFastPiezo fast-pzt-voltage-set=R slow-pzt-voltage-set=R "
        "motor=NloLaserHeadMicronixMotor"
    ),
    "OpoFastPiezo": (
        "voltage-set=R voltage-min=r voltage-max=r external-input=ExtInput1 voltage-act=r status=i status-txt=s"
    ),
    "NloLaserHeadMicronixMotor": "enabled=B position-set=R position-act=r position-min=r position-max=r",
    "OpoFactorySettings": (
        "modified=b crystal-tc=NloLaserHeadTcFactorySettings cavity-tc=NloLaserHeadTcFactorySettings "
        "cavity-pc=NloLaserHeadPcFactorySettings pd=NloLaserHeadOpoPhotodiodesFactorySettings"
    ),
    "NloLaserHeadOpoPhotodiodesFactorySettings": (
        "pump=NloLaserHeadPdFactorySettings1 pump-dep=NloLaserHeadPdFactorySettings1 "
        "sig=NloLaserHeadPdFactorySettings1 fiber=NloLaserHeadPdFactorySettings1"
    ),
    "UvShg": (
        "pump=Dpss2 eom=UvEom cavity=UvCavity crystal=UvCrystal servo=NloLaserHeadUvServos "
        "pd=NloLaserHeadUvPhotoDiodes power-optimization=UvShgPowerOptimization "
        "power-stabilization=UvShgPowerStabilization optimization-settings=UvShgOptimizationSettings "
        "scan=NloLaserHeadSiggen2 scope=NloLaserHeadScopeT2 lock=NloLaserHeadLockShg2 "
        "factory-settings=UvFactorySettings status-parameters=UvStatusParameters power-margin=r hwp-transmittance=r "
        "status=i status-txt=s specs-fulfilled=b error=i error-txt=s operation-time=r remaining-optics-spots=i "
        "baseplate-temperature=r ssw-ver=s"
    ),
    "Dpss2": (
        "enabled=b status=i status-txt=s tc-status=i tc-status-txt=s error-code=i error-txt=s operation-time=r "
        "power-set=r power-act=r power-max=r power-margin=r current-act=r current-max=r "
        "temperature-control=DpssTemperatureParameters2"
    ),
    "DpssTemperatureParameters2": (
        "t1=DpssTemperatureControlParameters2 t2=DpssTemperatureControlParameters2 "
        "t3=DpssTemperatureControlParameters2 t4=DpssTemperatureControlParameters2 "
        "t5=DpssTemperatureControlParameters2"
    ),
    "DpssTemperatureControlParameters2": "temp-act=r temp-set=r temp-set-min=r temp-set-max=r temp-roc-limit=r",
    "UvEom": "tc=TcChannel2",
    "TcChannel2": (
        "path=s enabled=b temp-act=r temp-set=r external-input=ExtInput3 ready=b fault=b status=i status-txt=s "
        "t-loop=TcChannelTLoop2 c-loop=TcChannelCLoop1 limits=TcChannelCheck2 current-set=r current-set-min=r "
        "current-set-max=r current-act=r voltage-act=r resistance=r ntc-series-resistance=r "
        "ntc-parallel-resistance=r temp-set-min=r temp-set-max=r temp-reset=b temp-roc-enabled=b temp-roc-limit=r "
        "power-source=i drv-voltage=r"
    ),
    "ExtInput3": "signal=i factor=r enabled=b",
    "TcChannelTLoop2": "on=b p-gain=r i-gain=r d-gain=r ok-tolerance=r ok-time=r",
    "TcChannelCLoop1": "on=b i-gain=r",
    "TcChannelCheck2": "temp-min=r temp-max=r timeout=i timed-out=b out-of-range=b",
    "UvCavity": "tc=TcChannel2 pc=PiezoDrv3",
    "PiezoDrv3": (
        "path=s enabled=b voltage-set=r voltage-min=r voltage-max=r voltage-set-dithering=b external-input=ExtInput3 "
        "output-filter=OutputFilter3 voltage-act=r voltage-out=r feedforward-master=i feedforward-enabled=b "
        "feedforward-factor=r heatsink-temp=r status=i status-txt=s"
    ),
    "OutputFilter3": "slew-rate=r slew-rate-enabled=b slew-rate-limited=b",
    "UvCrystal": "tc=TcChannel2 optics-shifters=NloLaserHeadUvCrystalSpots",
    "NloLaserHeadUvCrystalSpots": "current-spot=i remaining-spots=i",
    "NloLaserHeadUvServos": (
        "shg1-hor=NloLaserHeadServoPwm2 shg1-vert=NloLaserHeadServoPwm2 shg2-hor=NloLaserHeadServoPwm2 "
        "shg2-vert=NloLaserHeadServoPwm2 hwp=NloLaserHeadServoPwm2 lens=NloLaserHeadServoPwm2 "
        "outcpl=NloLaserHeadServoPwm2 cryst=NloLaserHeadServoPwm2 comp-hor=NloLaserHeadServoPwm2 "
        "comp-vert=NloLaserHeadServoPwm2"
    ),
    "NloLaserHeadServoPwm2": "display-name=s enabled=b value=i",
    "NloLaserHeadUvPhotoDiodes": (
        "shg=NloLaserHeadNloPhotodiode2 pdh-rf=NloLaserHeadNloPdhPhotodiode2 "
        "pdh-dc=NloLaserHeadNloDigilockPhotodiode2"
    ),
    "NloLaserHeadNloPhotodiode2": "power=r photodiode=r cal-offset=r cal-factor=r",
    "NloLaserHeadNloPdhPhotodiode2": "photodiode=r gain=r",
    "NloLaserHeadNloDigilockPhotodiode2": "photodiode=r cal-offset=r",
    "UvShgPowerOptimization": "ongoing=b status=i status-string=s cavity=NloStage2 progress-data=x abort=b",
    "NloStage2": (
        "input=NloOptInput2 progress=i optimization-allowed=b optimization-in-progress=b restore-on-abort=b "
        "restore-on-regress=b regress-tolerance=i autosave-actuator-values=b"
    ),
    "NloOptInput2": "value-calibrated=r",
    "UvShgPowerStabilization": (
        "enabled=b gain=PwrStabGain3 power-set=r power-act=r power-min=r power-max=r state=i update-strategy=i"
    ),
    "PwrStabGain3": "all=r p=r i=r d=r",
    "UvShgOptimizationSettings": "single-mode-optimization=B automatic-optics-shift=B",
    "NloLaserHeadSiggen2": "enabled=b frequency=r amplitude=r offset=r",
    "NloLaserHeadScopeT2": (
        "variant=i update-rate=i channel1=NloLaserHeadScopeChannelT2 channel2=NloLaserHeadScopeChannelT2 "
        "channelx=NloLaserHeadScopeXAxisT2 timescale=r data=x"
    ),
    "NloLaserHeadScopeChannelT2": "signal=i enabled=b unit=s name=s",
    "NloLaserHeadScopeXAxisT2": "xy-signal=i scope-timescale=r spectrum-range=r spectrum-omit-dc=b unit=s name=s",
    "NloLaserHeadLockShg2": (
        "state=i state-txt=s lock-enabled=b pid-selection=i setpoint=r continuous-calc-pid=b "
        "relock=NloLaserHeadRelock2 window=NloLaserHeadWindow2 calibration=NloLaserHeadCalibration3 "
        "pid1=NloLaserHeadPid2 pid2=NloLaserHeadPid2 analog-dl-gain=NloLaserHeadMinifalc2 "
        "local-oscillator=NloLaserHeadLocalOscillatorShg2 cavity-fast-pzt-voltage=r cavity-slow-pzt-voltage=r "
        "background-trace=x candidates=x"
    ),
    "NloLaserHeadRelock2": "enabled=b frequency=r amplitude=r delay=r",
    "NloLaserHeadWindow2": (
        "input-channel=i threshold=r level-hysteresis=r calibration=NloLaserHeadWindowCalibration1"
    ),
    "NloLaserHeadWindowCalibration1": "power-min=r power-max=r threshold-min=r threshold-max=r",
    "NloLaserHeadCalibration3": (
        "power-min=r power-max=r power-hysteresis=r pid2-all-min=r pid2-all-max=r pid2-p-min=r pid2-p-max=r "
        "pid1-all-min=r pid1-all-max=r pid1-p-min=r pid1-p-max=r analog-p-min=r analog-p-max=r shg-pdh-rf-gain-min=r "
        "shg-pdh-rf-gain-max=r lo-amplitude-min=r lo-amplitude-max=r threshold-min=r threshold-max=r"
    ),
    "NloLaserHeadPid2": "gain=NloLaserHeadGain2",
    "NloLaserHeadGain2": "all=r p=r i=r d=r i-cutoff=r i-cutoff-enabled=b",
    "NloLaserHeadMinifalc2": "p-gain=r",
    "NloLaserHeadLocalOscillatorShg2": (
        "enabled=b coupled-modulation=b use-fast-oscillator=b use-external-oscillator=b amplitude=r "
        "attenuation-raw=i phase-shift=r auto-pdh-state=i"
    ),
    "UvFactorySettings": (
        "eom-tc=NloLaserHeadTcFactorySettings crystal-tc=NloLaserHeadTcFactorySettings "
        "cavity-tc=NloLaserHeadTcFactorySettings pc=NloLaserHeadPcFactorySettings "
        "pd=NloLaserHeadUvPhotodiodesFactorySettings lock=NloLaserHeadLockFactorySettings modified=b"
    ),
    "NloLaserHeadUvPhotodiodesFactorySettings": (
        "shg=NloLaserHeadPdFactorySettings1 pdh-rf=NloLaserHeadPdPdhFactorySettings "
        "pdh-dc=NloLaserHeadPdDigilockFactorySettings"
    ),
    "UvStatusParameters": (
        "baseplate-temperature-limit=r temperature-settle-time=i pump-lock-settle-time=i settle-down-delay=i "
        "power-margin-tolerance-time=i power-margin-threshold=r cavity-lock-settle-time=i "
        "cavity-lock-tolerance-factor=i power-lock-settle-time=i cavity-scan-duration=i "
        "power-stabilization-strategy=i power-stabilization-level-low-factor=r power-output-relative-error-max=r "
        "power-output-relative-deviation-max=r operational-pump-power=r degradation-detection-slope-threshold=r "
        "degradation-detection-measurement-interval=i degradation-detection-number-of-measurements=i "
        "idle-alignment-option=b"
    ),
    "PdExt": "input-channel=I photodiode=r power=r cal-offset=R cal-factor=R",
    "PwrStab": (
        "enabled=B gain=PwrStabGain2 sign=B input-channel=I setpoint=R window=PwrStabWindow hold-output-on-unlock=B "
        "output-channel=I input-channel-value-act=r state=i feedforward-enabled=B feedforward-factor=R"
    ),
    "PwrStabGain2": "all=R p=R i=R d=R",
    "PwrStabWindow": "enabled=B level-low=R level-hysteresis=R",
    "HfCavity": "tc1=TcChannel1 tc2=TcChannel1 factory-settings=HfCavityFactory",
    "HfCavityFactory": "tc1=TcFactorySettings1 tc2=TcFactorySettings1 last-modified=s modified=b",
    "TcFactorySettings1": (
        "temp-min=R temp-max=R temp-set=R temp-roc-enabled=B temp-roc-limit=R current-max=R current-min=R p-gain=R "
        "i-gain=R d-gain=R c-gain=R ok-tolerance=R ok-time=R timeout=I power-source=I ntc-series-resistance=R "
        "ntc-parallel-resistance=R output-inverted=b"
    ),
    "LaserConfig": "source=s product-name=s date=s caption=S pristine=b",
    "LaserDiagnosis": "ready=b options=LaserDiagnosisOptions smc-scan=LaserDiagnosisSmcScan",
    "LaserDiagnosisOptions": "servo-test=B servo-stepsize=I motor-test=B piezo-test=B smc-scan=B",
    "LaserDiagnosisSmcScan": "active=b progress=i settle-time=I current-step=R voltage-step=R",
    "LaserComponents": "",
    "LaserCommon": "scan=ScanSynchronization",
    "ScanSynchronization": "sync-laser1=B sync-laser2=B sync-laser3=B sync-laser4=B frequency=R",
    "UvShgLaser": (
        "laser-on=B emission=b status=i status-txt=s specs-fulfilled=b error=i error-txt=s operation-time-pump=r "
        "operation-time-uv=r pump-power-margin=r remaining-optics-spots=i power-set=R power-act=r "
        "baseplate-temperature=r idle-mode=B idle-alignment-option=B optimization-settings=UvShgOptimizationSettings"
    ),
    "AutoNloToplevel": (
        "automatic-mode=B serial-number=s fw-ver=s fw-ver-valid=b customer=s laser-on=B emission=b status=i "
        "status-txt=s error=i error-txt=s locked-cavity=b locked-cavity-fhg=b operation-time-master=r "
        "operation-time-amplifier=r operation-time-cavity=r operation-time-cavity-fhg=r current-set-master=r "
        "current-act-master=r current-set-amplifier=r current-act-amplifier=r power-act-master=r "
        "power-act-amplifier=r power-act-shg=r power-act-fhg=r temp-set-master=r temp-act-master=r "
        "temp-set-amplifier=r temp-act-amplifier=r temp-set-crystal=R temp-act-crystal=r temp-set-cavity=r "
        "temp-act-cavity=r temp-set-crystal-fhg=R temp-act-crystal-fhg=r temp-set-cavity-fhg=r temp-act-cavity-fhg=r "
        "temp-act-baseplate=r voltage-set-master=r voltage-act-master=r voltage-act-shg=r air-pressure=r "
        "amplifier-current-margin=r conversion-efficiency=r conversion-efficiency-fhg=r master-noise=r power-set=R "
        "power-act=r wavelength-set=R wavelength-set-min=r wavelength-set-max=r wavelength=r idle-mode=B "
        "wavemeter=AutoNloWavemeter power-stabilization-settings=AutoNloPowerStabilizationSettings "
        "optimization-settings=AutoNloOptimizationOptions optimization-progress=i last-time-auto-align=s "
        "last-time-single-mode-optimization=s single-mode-optimization-valid=i single-mode-algorithm=I"
    ),
    "AutoNloPowerStabilizationSettings": "power-min=R power-max=R amplifier-initial-current=R gain=PwrStabGain1",
    "PwrStabGain1": "all=R p=R i=R d=R",
    "AutoNloOptimizationOptions": (
        "pressure-compensation=B auto-align-amplifier=B auto-align-cavity=B auto-align-include-advanced=B "
        "single-mode-optimization=B optimize-after-standby=B"
    ),
    "CcBoard": (
        "slot=s serial-number=s revision=s fpga-fw-ver=i board-temp=r variant=s parallel-mode=b smc-support=b "
        "status=i status-txt=s channel1=CurrDrv2 channel2=CurrDrv2"
    ),
    "CurrDrv2": (
        "path=s variant=s enabled=B emission=b current-set=R current-offset=R current-set-dithering=B "
        "external-input=ExtInput2 output-filter=OutputFilter2 current-act=r positive-polarity=B current-clip=R "
        "current-clip-tuning=r use-current-clip-tuning=B current-clip-limit=r voltage-act=r voltage-clip=R "
        "feedforward-master=I feedforward-enabled=B feedforward-factor=R pd=r aux=r snubber=B status=i status-txt=s "
        "forced-off=B"
    ),
    "ExtInput2": "signal=I factor=R enabled=B",
    "OutputFilter2": "slew-rate=R slew-rate-enabled=B slew-rate-limited=b",
    "Cc5000Board": (
        "slot=s serial-number=s revision=s fpga-fw-ver=i board-temp=r variant=s parallel-mode=b inverter-temp=r "
        "inverter-temp-fuse=r regulator-temp=r regulator-temp-fuse=r power-15v=B status=i status-txt=s "
        "channel1=Cc5000Drv"
    ),
    "Cc5000Drv": (
        "path=s variant=s enabled=B emission=b current-set=R current-offset=R external-input=ExtInput1 "
        "output-filter=OutputFilter1 current-act=r current-clip=R current-clip-tuning=r use-current-clip-tuning=B "
        "current-clip-limit=r voltage-act=r voltage-out=r voltage-clip=R feedforward-master=I feedforward-enabled=B "
        "feedforward-factor=R aux=r status=i status-txt=s forced-off=B"
    ),
    "PcBoard": (
        "slot=s serial-number=s revision=s variant=s channel-count=i fpga-fw-ver=i status=i status-txt=s "
        "channel1=PiezoDrv2 channel2=PiezoDrv2"
    ),
    "PiezoDrv2": (
        "path=s enabled=B voltage-set=R voltage-min=R voltage-max=R voltage-set-dithering=B external-input=ExtInput2 "
        "output-filter=OutputFilter2 voltage-act=r voltage-out=r feedforward-master=I feedforward-enabled=B "
        "feedforward-factor=R heatsink-temp=r status=i status-txt=s"
    ),
    "TcBoard": (
        "slot=s serial-number=s revision=s fpga-fw-ver=s channel-count=i board-temp=r channel1=TcChannel1 "
        "channel1b=TcChannel1 channel2=TcChannel1 channel2b=TcChannel1"
    ),
    "McBoard": "serial-number=s revision=s fpga-type=i fpga-fw-ver=s board-temp=r relative-humidity=r air-pressure=r",
    "IoBoard": (
        "serial-number=s revision=s fpga-fw-ver=i fine-1=IoInputChannel fine-2=IoInputChannel fast-3=IoInputChannel "
        "fast-4=IoInputChannel out-a=IoOutputChannel out-b=IoOutputChannel digital-in0=IoDigitalInput "
        "digital-in1=IoDigitalInput digital-in2=IoDigitalInput digital-in3=IoDigitalInput "
        "digital-out0=IoDigitalOutput digital-out1=IoDigitalOutput digital-out2=IoDigitalOutput "
        "digital-out3=IoDigitalOutput"
    ),
    "IoInputChannel": "value-act=r",
    "IoOutputChannel": (
        "voltage-set=R voltage-act=r voltage-offset=R voltage-enabled=B voltage-min=R voltage-max=R "
        "signal-monitor=IoMonitor output-filter=OutputFilter1 linked-laser=I feedforward-master=I "
        "feedforward-enabled=B feedforward-factor=R status=i status-txt=s"
    ),
    "IoMonitor": "signal=I operating-point=R factor=R enabled=B",
    "IoDigitalInput": "value-act=b",
    "IoDigitalOutput": "value-act=b value-set=B mode=I linked-laser=I invert=B",
    "SiBoard": "serial-number=s revision=s si1-input-signal=b si2-enabled=b",
    "PowerSupply": (
        "type=s serial-number=s revision=s board-temp=r heatsink-temp=r current-5V=r current-15V=r current-15Vn=r "
        "voltage-5V=r voltage-15V=r voltage-15Vn=r voltage-3V3=r load=r status=i status-txt=s"
    ),
    "Buzzer": "welcome=S sounds=BuzzerSounds",
    "BuzzerSounds": "on-connection=B",
    "Display": "brightness=R auto-dark=B idle-timeout=I state=i",
    "Standby": (
        "enabled=B state=i laser1=StandbyLaser1 laser2=StandbyLaser2 laser3=StandbyLaser3 laser4=StandbyLaser3"
    ),
    "StandbyLaser1": "dl=StandbyDl amp=StandbyAmp ctl=StandbyCtl nlo=StandbyShg",
    "StandbyDl": "disable-pc=B disable-cc=B disable-tc=B disable-eom=B",
    "StandbyAmp": "disable-cc=B disable-tc=B",
    "StandbyCtl": "disable=B",
    "StandbyShg": (
        "disable-pc=B disable-tc=B disable-servo-subsystem=B disable-power-stabilization=B disable-cavity-lock=B"
    ),
    "StandbyLaser2": "dl=StandbyDl amp=StandbyAmp",
    "StandbyLaser3": "dl=StandbyDl",
    "PdhBoard": (
        "slot=s serial-number=s revision=s fpga-fw-ver=i board-temp=r status=i status-txt=s channel1=PdhChannel "
        "channel2=PdhChannel"
    ),
    "PdhChannel": (
        "label=S modulation-enabled=B use-fast-oscillator=B modulation-amplitude-dbm=R modulation-amplitude-vpp=r "
        "lo-output-amplitude-dbm=R lo-output-amplitude-vpp=r lo-output-enabled=B phase-shift=R input-level-max=I "
        "lock-level=R auto-pdh=AutoLir"
    ),
    "DigifalcBoard": (
        "node-id=i serial-number=s label=s model=i revision=s boot-ver=i fw-ver=s board-temp=r status=i status-txt=s "
        "input=DigifalcInput mon=DigifalcMon unlim=DigifalcUnlim main=DigifalcMain path-selection=I hold-state=b"
    ),
    "DigifalcInput": "gain=I offset=R",
    "DigifalcMon": "config=I",
    "DigifalcUnlim": (
        "enabled=B hold=B sign=B slew-rate=I gain=r output-range=R input-offset=R lock-state=b hold-state=b "
        "regulating-state=b"
    ),
    "DigifalcMain": "enabled=B gain=DigifalcMainGain lock-state=b",
    "DigifalcMainGain": (
        "all=R use-external-input=B i1-enabled=B i1=I i2-enabled=B i2=I i3-enabled=B i3=I d1-enabled=B d1=I "
        "d2-enabled=B d2=I ramp-up-rate=I"
    ),
    "ServoControlBoard": "node-id=i serial-number=s revision=s fw-ver=s board-temp=r status=i status-txt=s",
    "DlMotorBoard": (
        "node-id=i serial-number=s revision=s fw-ver=s board-temp=r status=i status-txt=s channel1=DlMotorStepper "
        "channel2=DlMotorStepper io=DlMotorIo"
    ),
    "DlMotorIo": (
        "digital-in0=DlMotorDigitalInput digital-in1=DlMotorDigitalInput digital-in2=DlMotorDigitalInput "
        "digital-in3=DlMotorDigitalInput digital-out0=DlMotorDigitalOutput digital-out1=DlMotorDigitalOutput "
        "digital-out2=DlMotorDigitalOutput digital-out3=DlMotorDigitalOutput"
    ),
    "DlMotorDigitalInput": "value-act=b",
    "DlMotorDigitalOutput": "value-act=b value-set=B mode=I invert=B",
    "PfdBoard": (
        "node-id=i serial-number=s label=S revision=s fw-ver=s status=i status-txt=s external-clock-detected=b "
        "external-clock-locked=b rf-path=I reference-path=I dds-output-enabled=B phase-out-filter-enabled=B "
        "aux-out1-signal=I aux-out2-signal=I frequency-counters=PfdFrequencyCounters frequency-plan=PfdFrequencyPlan "
        "reference-frequency=PfdReferenceFrequency cavity-bridge=PfdCavityBridge lf=PfdLf hf=PfdHf "
        "event-detector=PfdEventDetector digital-io=PfdIo user-led-mode=I"
    ),
    "PfdFrequencyCounters": (
        "gating-time=I reference-frequency=i counter-output-frequency=i lf-frequency=i phase-output-frequency=i"
    ),
    "PfdFrequencyPlan": "mode=I center-frequency=R scan=PfdFplanScan hopping=PfdFplanHop",
    "PfdFplanScan": "amplitude=R frequency=I ramp-rate=R",
    "PfdFplanHop": "frequency1=R frequency2=R frequency3=R frequency4=R feed-forward-offset=R feed-forward-factor=R",
    "PfdReferenceFrequency": "center-frequency=r scan=PfdRefFreqScan hopping=PfdRefFreqHop",
    "PfdRefFreqScan": "amplitude=r ramp-rate=r",
    "PfdRefFreqHop": (
        "frequency1=r frequency2=r frequency3=r frequency4=r feed-forward-offset=r feed-forward-factor=r"
    ),
    "PfdCavityBridge": (
        "output-enabled=B external-trigger-enabled=B output-frequency=R scan-enabled=B end-frequency=R step-size=R "
        "ramp-rate=R"
    ),
    "PfdLf": (
        "r-divider=I n-divider=I input-filter-enabled=B input-level=r input-gain=R signal-level=r current-gain=I "
        "polarity=B tunable-filter-enabled=B tunable-filter-center-frequency=R agc=PfdAgc "
        "frequency-deviation=PfdFrequencyDeviation"
    ),
    "PfdAgc": "enabled=B set-level=R p-gain=R i-gain=R d-gain=R",
    "PfdFrequencyDeviation": "value=i analog-output-scaling=R",
    "PfdHf": "r-divider=I n-divider=I rfdiv2-enabled=B current-gain=I polarity=B",
    "PfdEventDetector": (
        "phase-error=r counter=i indicator=b indicator-auto-reset-enabled=B indicator-auto-reset-time=I"
    ),
    "PfdIo": "in0=b in1=b in2=b in3=b out0=B out1=B out2=B out3=B",
    "SystemMessages": "count=i count-new=i latest-message=s",
    "Licenses": "options=LicenseOptions installed-keys=i",
    "LicenseOptions": (
        "lock=LicenseOption dual-laser-operation=LicenseOption quad-laser-operation=LicenseOption "
        "automatic-nlo-operation=LicenseOption pfd1-hf-port=LicenseOption pfd2-hf-port=LicenseOption "
        "pfd3-hf-port=LicenseOption pfd4-hf-port=LicenseOption"
    ),
    "LicenseOption": "enabled=b valid-until=s",
    "FwUpdate": "",
    "ServiceReport": "ready=b",
    "BuildInformation": (
        "build-number=i build-id=s build-tag=s job-name=s build-node-name=s build-url=s cxx-compiler-version=s "
        "c-compiler-version=s cxx-compiler-id=s c-compiler-id=s"
    ),
    "Ipconfig": "ip-addr=s net-mask=s gateway=s hostname=S mac-addr=s dhcp=b cmd-port=i mon-port=i",
    "DLCpro": (
        "emission-button-enabled=B interlock-open=b frontkey-locked=b emission=b system-health=i system-health-txt=s "
        "laser1=Laser laser2=Laser laser3=Laser laser4=Laser laser-common=LaserCommon uv=UvShgLaser "
        "auto-nlo=AutoNloToplevel cc1=CcBoard cc2=CcBoard cc3=CcBoard cc4=CcBoard ampcc1=Cc5000Board "
        "ampcc2=Cc5000Board pc1=PcBoard pc2=PcBoard pc3=PcBoard tc1=TcBoard tc2=TcBoard mc=McBoard io=IoBoard "
        "si=SiBoard power-supply=PowerSupply buzzer=Buzzer display=Display standby=Standby pdh1=PdhBoard "
        "pdh2=PdhBoard falc1=DigifalcBoard falc2=DigifalcBoard falc3=DigifalcBoard falc4=DigifalcBoard "
        "servo-control1=ServoControlBoard servo-control2=ServoControlBoard servo-control3=ServoControlBoard "
        "servo-control4=ServoControlBoard mot1=DlMotorBoard mot2=DlMotorBoard pfd1=PfdBoard pfd2=PfdBoard "
        "pfd3=PfdBoard pfd4=PfdBoard time=S tan=i system-messages=SystemMessages licenses=Licenses "
        "fw-update=FwUpdate system-service-report=ServiceReport uptime=i uptime-txt=s fw-ver=s ssw-ver=s decof-ver=s "
        "boot-ver=s echo=B serial-number=s system-type=s system-model=s system-label=S vcs-id=s ssw-vcs-id=s "
        "build-information=BuildInformation net-conf=Ipconfig ul=I"
    ),
}

COMMANDS: Mapping[str, str] = {
    "Laser": "save() load() load-head()",
    "LaserHead": "store() restore()",
    "TcChannel1": "check-peltier()=r",
    "Lock": "show-candidates()>s=i find-candidates() select-lockpoint(rri) close() open()",
    "AutoLir": "start() abort()",
    "ScbPowerOptimization": (
        "start-optimization-all()=i start-optimization-seed-probe()=i start-optimization-amp()=i "
        "start-optimization-fiber()=i"
    ),
    "ScbStage": "start-optimization()=i",
    "ServoControlServosNamed": (
        "center-probe-servos() center-ta-servos() center-fiber-servos() center-all-servos() enable-all-servos() "
        "disable-all-servos()"
    ),
    "ServoControlServo": "center-servo()",
    "DlMotorStepper": "perform-referencing() reset-cycles()",
    "DlMotorScan": "start() stop() pause() continue()",
    "DlMotorCalibration": "set(rrrrr)",
    "LhFactory": "apply() retrieve-now() update-service-date()",
    "CtlOptimizationT": "smile() flow() abort()",
    "CtlMotorCalibration": "shift-wavelength(r) reset-shift()",
    "CtlFactory": "apply()",
    "LaserAmp": "store() restore()",
    "AmpFactory": "apply() retrieve-now() update-service-date()",
    "WideScan": (
        "start() stop() set-output-to-zoom-offset() set-scan-range-to-zoom-range() set-zoom-range-to-scan-range()"
    ),
    "RecorderData": "zoom-out() get-data(ii)=x show-data(ii) clear-data()",
    "NloLaserHeadServos": (
        "center-ta-servos() center-shg-servos() center-fhg-servos() center-fiber-servos() center-all-servos() "
        "enable-all-servos() disable-all-servos()"
    ),
    "NloLaserHeadServoPwm1": "center-servo()",
    "NloPowerOptimization": (
        "start-optimization-all()=i start-optimization-amp()=i start-optimization-shg()=i "
        "start-optimization-fiber()=i start-optimization-fhg()=i"
    ),
    "NloStage1": "start-optimization()=i",
    "AutoNlo": (
        "perform-single-mode-optimization() perform-auto-align() reset-operation-time-cavity() "
        "reset-operation-time-cavity-fhg()"
    ),
    "Shg": "store() restore()",
    "NloLaserHeadLocalOscillatorShg1": "auto-pdh() auto-pdh-abort()",
    "ShgFactorySettings": "apply() retrieve-now()",
    "Fhg": "store() restore()",
    "NloLaserHeadLocalOscillatorFhg": "auto-pdh() auto-pdh-abort()",
    "FhgFactorySettings": "apply() retrieve-now()",
    "Opo": "store() restore()",
    "NloLaserHeadMicronixMotor": "recalibrate()",
    "OpoFactorySettings": "apply() retrieve-now()",
    "UvShg": "store() restore() perform-optimization() perform-optics-shift() clear-errors()",
    "UvFactorySettings": "apply() retrieve-now()",
    "HfCavity": "store() restore()",
    "HfCavityFactory": "apply() retrieve-now()",
    "LaserConfig": "load(s) save(s) import()<x export()>x retrieve() apply()=b show()>s list()=s",
    "LaserDiagnosis": "start() print-result()>x execute()>x generate-to-usb()",
    "LaserDiagnosisSmcScan": "abort()",
    "LaserCommon": "save-all() load-all() store-all() restore-all() apply-all() retrieve-all()",
    "ScanSynchronization": "sync() save() load()",
    "UvShgLaser": "perform-optimization() perform-optics-shift() clear-errors()",
    "AutoNloToplevel": (
        "perform-optimization() reset-operation-time-cavity() reset-operation-time-cavity-fhg() clear-errors()"
    ),
    "IoBoard": "save() load()",
    "Buzzer": "play-welcome() play(s) save() load()",
    "Display": "save() load() update-state(b)",
    "PdhBoard": "save() load()",
    "DigifalcBoard": "save() load()",
    "PfdBoard": "save() load()",
    "PfdEventDetector": "reset-counter() reset-indicator()",
    "SystemMessages": "mark-as-read(i) show-all()>s show-new()>s show-log()>s show-persistent()>s",
    "Licenses": "get-key(i)=s install(s)=b",
    "FwUpdate": "upload(s)<x show-log()>s show-history()>s",
    "ServiceReport": "service-report()>x request() add-info(s) print()>x save-to-usb()",
    "Ipconfig": "set-dhcp() set-ip(ss) set-ip-gateway(sss) apply()",
    "DLCpro": (
        "system-connections()>s=i debug-log()>s error-log()>s service-log()>s service-script()<x "
        "service-script-from-usb() service-report()>x output-signals-report() system-summary()>s "
        "system-summary-ontimes()>s change-password(s) change-password-service(s)"
    ),
}
