-- For HAProxy, 2.6 and later: asks Keywright whether a request may pass, and says who asks.

local URL = "http://@SERVER@/forward-auth/haproxy"
local TIMEOUT_MS = 10000

-- What the question carries of the request besides what it is for. All values go along: two credentials are refused there.
local CARRIED = { "authorization", "x-api-key", "user-agent", "origin", "access-control-request-method", "x-request-id" }

-- Who asks. Always set, empty where there is nothing to say.
local IDENTITY = {
@IDENTITY@
}

-- What some server behind takes for another path, method or address than was asked about.
local MISLEADING = {
@MISLEADING@
}

local UNWANTED = {}
for _, names in ipairs({ IDENTITY, MISLEADING }) do
    for _, name in ipairs(names) do
        UNWANTED[name] = true
    end
end

-- What the answer to a refusal keeps.
local TOLD = {
    "content-type", "www-authenticate", "retry-after", "ratelimit", "ratelimit-policy", "allow", "cache-control", "x-request-id",
}

local function refuse(txn, status, headers, body)
    local reply = txn:reply()
    reply:set_status(status)
    for _, name in ipairs(TOLD) do
        local values = headers and headers[name]
        if values then
            reply:add_header(name, values[0] or values[1])
        end
    end
    reply:set_body(body or "")
    txn:done(reply)
end

local function ask(txn)
    local sent = txn.http:req_get_headers()
    local headers = {
        ["x-original-method"] = { txn.sf:method() },
        ["x-original-uri"] = { txn.sf:pathq() },
        ["x-original-host"] = { txn.sf:req_hdr("host") },
        ["x-forwarded-for"] = { txn.sf:src() },
    }
    for _, name in ipairs(CARRIED) do
        if sent[name] then
            local values = {}
            for _, value in pairs(sent[name]) do
                table.insert(values, value)
            end
            headers[name] = values
        end
    end
    local answer = core.httpclient():get({ url = URL, headers = headers, timeout = TIMEOUT_MS })
    if not answer or not answer.status or answer.status == 0 then
        return refuse(txn, 503)
    end
    -- Allowed is 200 and nothing else.
    if answer.status ~= 200 then
        return refuse(txn, answer.status < 400 and 503 or answer.status, answer.headers, answer.body)
    end
    -- X_Key_Id and X.Key.Id are read as X-Key-Id by some servers behind.
    for name, _ in pairs(sent) do
        local alias = name:lower():gsub("[^a-z0-9]", "-")
        if UNWANTED[alias] or alias:find("^x%-forwarded%-") then
            txn.http:req_del_header(name)
        end
    end
    for _, name in ipairs(IDENTITY) do
        local said = answer.headers[name]
        txn.http:req_set_header(name, said and (said[0] or said[1]) or "")
    end
    txn.http:req_set_header("x-forwarded-for", txn.sf:src())
    txn.http:req_set_header("x-forwarded-host", txn.sf:req_hdr("host"))
    txn.http:req_set_header("x-forwarded-proto", txn.f:ssl_fc() == 1 and "https" or "http")
end

core.register_action("keywright", { "http-req" }, ask, 0)
