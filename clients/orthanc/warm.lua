-- Tells SAM-Med3D-MoE of every study that is complete, so that its scans are read and prepared
-- before anybody opens them. In Orthanc's configuration:
--
--   "LuaScripts" : [ "/etc/orthanc/warm.lua" ],
--   "StableAge" : 60
--
-- with two environment variables for Orthanc: SAMMOE_URL, as http://sammoe:8000, and, where the
-- service has API keys, SAMMOE_API_KEY. The service must know this Orthanc as a DICOMweb server.
--
-- Nothing of the patient is sent or logged: UIDs go in the body, the rest stays here.

local URL = os.getenv("SAMMOE_URL") or "http://127.0.0.1:8000"
local KEY = os.getenv("SAMMOE_API_KEY")

-- The service answers at once and comes for the scans later. It must not be waited for: while this
-- function runs, Orthanc answers nobody.
function OnStableStudy(studyId, tags, metadata)
  local study = ParseJson(RestApiGet("/studies/" .. studyId))
  local sent = { ["Content-Type"] = "application/json" }
  if KEY then
    sent["Authorization"] = "Bearer " .. KEY
  end
  local body = { study = study["MainDicomTags"]["StudyInstanceUID"] }
  HttpPost(URL .. "/v1/dicomweb/warm", DumpJson(body, true), sent)
end
